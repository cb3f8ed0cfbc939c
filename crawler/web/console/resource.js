// One resource: what it does and why, and five looks at it.

import { h } from "./vendor/vue.js";
import { get, resourcePath } from "./api.js";
import { DEEDS, perform } from "./deeds.js";
import { count, moment, nodeName, rate, span, until } from "./format.js";
import { useLive } from "./live.js";
import { Act, Badge, Figure, Heading, Progress, Tabs, Trouble } from "./parts.js";
import { Definition } from "./resource-definition.js";
import { History } from "./resource-history.js";
import { Items } from "./resource-items.js";
import { Now } from "./resource-now.js";
import { Pages } from "./resource-pages.js";
import { go, href, route } from "./router.js";
import { Speeds, timeLeft } from "./speed.js";

const TABS = [
  ["now", "Now", Now],
  ["pages", "Pages", Pages],
  ["items", "Items", Items],
  ["definition", "Definition", Definition],
  ["history", "History", History],
];
const speeds = new Speeds();

export const Resource = {
  props: ["name"],
  setup(props) {
    const { name } = props;
    const state = useLive(() => get(resourcePath(name)));

    async function act(deed) {
      if ((await perform(deed, [name])) && deed.key === "delete") go(["resources"]);
    }

    return () => {
      const { data, error } = state;
      const tab = TABS.find(([key]) => key === route.value.query.tab) ?? TABS[0];
      return [
        h(Heading, { title: name }, () =>
          data
            ? DEEDS.map((deed) =>
                h(Act, { key: deed.key, label: deed.label, title: deed.title, tone: deed.tone, why: deed.why(data), run: () => act(deed) }),
              )
            : null,
        ),
        h(Trouble, { error }),
        error?.status === 404 ? h("p", h("a", { href: href(["resources"]) }, "All resources")) : null,
        data ? summary(data) : null,
        data
          ? h(Tabs, {
              label: `about ${name}`,
              current: tab[0],
              tabs: TABS.map(([key, words]) => ({ key, words, href: href(["resources", name], { tab: key }) })),
            })
          : null,
        data ? h(tab[2], { key: tab[0], resource: data }) : null,
      ];
    };
  },
};

function summary(data) {
  const { progress, state } = data;
  const pace = progress && speeds.of(data.id, progress.done + progress.failed);
  const running = state === "running";
  const to = (query) => href(["resources", data.name], { tab: "pages", ...query });
  return h("section", { class: "summary" }, [
    h("p", { class: "why" }, [h(Badge, { state }), " ", h("span", reasonOf(data))]),
    progress
      ? [
          h(Progress, { counters: progress }),
          h("dl", { class: "figures small" }, [
            h(Figure, { name: "Done" }, () => h("a", { href: to({ state: "done" }) }, `${count(progress.done)} of ${count(progress.known)}`)),
            h(Figure, { name: "Pending" }, () => h("a", { href: to({ state: "pending" }) }, count(progress.pending))),
            h(Figure, { name: "Failed", tone: progress.failed ? "bad" : "" }, () => h("a", { href: to({ state: "failed" }) }, count(progress.failed))),
            h(Figure, { name: "Left out" }, () => h("a", { href: to({ state: "excluded" }) }, count(progress.excluded))),
            h(Figure, { name: "Items" }, () => h("a", { href: href(["resources", data.name], { tab: "items" }) }, count(progress.items))),
            h(Figure, { name: "Rate" }, () => (running ? rate(pace) : "–")),
            h(Figure, { name: "Time left" }, () => (running ? span(timeLeft(progress.pending, pace)) : "–")),
            h(Figure, { name: "Next run" }, () => (data.next_due ? h("span", { title: moment(data.next_due) }, until(data.next_due)) : "no schedule")),
          ]),
        ]
      : h("p", { class: "muted" }, data.progress_error || "No page yet."),
  ]);
}

const ended = (reason) => (reason && reason !== "finished" ? reason : "nothing is left to fetch");

// Why it stands as it does, in one sentence.
function reasonOf({ state, assigned_node: node, decision, run, progress, parts, ...told }) {
  const reason = nodeName(told.reason);
  const who = node ? nodeName(node) : "";
  const because = decision && node ? ` (chosen because: ${nodeName(decision)})` : "";
  if (state === "running") return parts.length ? `Run ${run}, divided into ${parts.length} parts.` : `Run ${run}, by ${who}${because}.`;
  if (reason === "no definition") return "It has no definition yet, so that there is nothing to crawl. Write one under Definition.";
  if (state === "assigned") return `Given to ${who}${because}: ${reason || "it has not begun yet"}.`;
  if (state === "pending") return `It waits: ${reason || "no worker has it yet"}.`;
  if (state === "finished") return `Run ${run} is over: ${ended(progress?.finished || reason)}.`;
  return reason ? `${reason}.` : `Run ${run}.`;
}
