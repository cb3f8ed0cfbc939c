// Small pieces that pages are made of.

import { h, onMounted, ref } from "./vendor/vue.js";
import { link } from "./api.js";
import { forbidden } from "./session.js";
import { say } from "./notices.js";

const TONES = {
  running: "good",
  done: "good",
  finished: "calm",
  assigned: "busy",
  pending: "wait",
  paused: "wait",
  warning: "wait",
  error: "bad",
  failed: "bad",
  excluded: "calm",
  stopped: "calm",
  note: "calm",
};

export const Badge = (props) =>
  h("span", { class: ["badge", TONES[props.state] ?? "calm"] }, props.words ?? props.state);
Badge.props = ["state", "words"];

// The heading of a page; it is focused when the page changes, so that readers begin there.
export const Heading = {
  props: ["title"],
  setup(props, { slots }) {
    const title = ref(null);
    onMounted(() => {
      document.title = `${props.title} · crawler`;
      title.value?.focus({ preventScroll: true });
    });
    return () =>
      h("header", { class: "heading" }, [
        h("h1", { ref: title, tabindex: -1 }, slots.title?.() ?? props.title),
        h("div", { class: "actions" }, slots.default?.()),
      ]);
  },
};

// What went wrong with a call, where it was made. While no master answers, the page says so once.
export const Trouble = (props) =>
  props.error && !(props.error.away && link.lostAt)
    ? h("p", { class: "trouble", role: "alert" }, [
        props.error.message,
        props.error.help ? h("small", props.error.help) : null,
      ])
    : null;
Trouble.props = ["error"];

// A button that changes something: it says why it cannot, and shows what the API said. One that
// submits is also what Enter does in its form.
export const Act = {
  props: ["label", "run", "why", "tone", "title", "submits"],
  setup(props) {
    const busy = ref(false);
    async function click(event) {
      event.preventDefault();
      const reason = forbidden() || props.why;
      if (reason) return say(reason);
      if (busy.value) return;
      busy.value = true;
      try {
        await props.run();
      } catch (error) {
        say(error.message, "bad");
      } finally {
        busy.value = false;
      }
    }
    return () => {
      const reason = forbidden() || props.why;
      return h(
        "button",
        {
          type: props.submits ? "submit" : "button",
          class: props.tone,
          "aria-disabled": reason ? "true" : undefined,
          "aria-busy": busy.value ? "true" : undefined,
          title: reason || props.title,
          onClick: click,
        },
        props.label,
      );
    };
  },
};

// A link to a page that was crawled; only web addresses lead anywhere.
export const Outside = (props) =>
  /^https?:\/\//i.test(props.url)
    ? h(
        "a",
        { href: props.url, target: "_blank", rel: "noopener noreferrer nofollow" },
        props.words ?? props.url,
      )
    : h("span", props.words ?? props.url);
Outside.props = ["url", "words"];

export const Progress = (props) =>
  h("progress", {
    max: Math.max(1, props.counters.known),
    value: props.counters.known - props.counters.pending,
    "aria-label": "progress",
  });
Progress.props = ["counters"];

// A figure with its name.
export const Figure = (props, { slots }) =>
  h("div", { class: ["figure", props.tone] }, [
    h("dt", props.name),
    h("dd", slots.default?.()),
    props.note ? h("dd", { class: "note" }, props.note) : null,
  ]);
Figure.props = ["name", "note", "tone"];

// A table that is short enough to be shown whole. Columns: name, cell(row), and perhaps a class.
export const ShortTable = (props) =>
  props.rows.length
    ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": props.label }, [
        h("table", [
          h("thead", h("tr", props.columns.map((each) => h("th", { scope: "col", class: each.class }, each.name)))),
          h(
            "tbody",
            props.rows.map((row) =>
              h("tr", props.columns.map((each) => h("td", { class: each.class }, each.cell(row)))),
            ),
          ),
        ]),
      ])
    : h("p", { class: "empty" }, props.empty);
ShortTable.props = ["rows", "columns", "empty", "label"];

export const Tabs = (props) =>
  h(
    "nav",
    { class: "tabs", "aria-label": props.label },
    props.tabs.map(({ key, words, href }) =>
      h("a", { key, href, "aria-current": key === props.current ? "page" : undefined }, words),
    ),
  );
Tabs.props = ["tabs", "current", "label"];

// A labelled field of a form.
export const Field = (props, { slots }) =>
  h("label", { class: "field" }, [h("span", props.label), slots.default?.()]);
Field.props = ["label"];
