// What was done, or why not: told at the bottom of the page, and to screen readers.

import { h, reactive } from "./vendor/vue.js";

const SHOWN_MS = 6000;
const notices = reactive([]);
let last = 0;

export function say(words, tone = "calm") {
  const id = ++last;
  notices.push({ id, words, tone });
  if (notices.length > 4) notices.shift();
  setTimeout(() => dismiss(id), tone === "bad" ? 2 * SHOWN_MS : SHOWN_MS);
}

function dismiss(id) {
  const at = notices.findIndex((each) => each.id === id);
  if (at >= 0) notices.splice(at, 1);
}

export const Notices = () =>
  h(
    "div",
    { class: "notices", role: "status", "aria-live": "polite" },
    notices.map(({ id, words, tone }) =>
      h("div", { key: id, class: ["notice", tone] }, [
        h("span", words),
        h("button", { class: "plain", "aria-label": "dismiss", onClick: () => dismiss(id) }, "×"),
      ]),
    ),
  );
