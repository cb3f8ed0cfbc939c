// A text field for a definition: numbered lines, and what is wrong with them while one writes.

import { computed, h, onBeforeUnmount, ref, watch } from "./vendor/vue.js";
import { ApiError, LOOK_MS, post } from "./api.js";
import { address, count, plural, value } from "./format.js";
import { Act, Badge, Field, Outside, ShortTable, Trouble } from "./parts.js";

const PAUSE_MS = 300; // after the last key

// `text` is what is written; it tells the verdict of each check (null: one is on its way).
export const Editor = {
  props: ["text", "label"],
  emits: ["update:text", "checked"],
  setup(props, { emit }) {
    const verdict = ref(null);
    const trouble = ref(null);
    const gutter = ref(null);
    const area = ref(null);
    let timer = 0;

    async function check() {
      const { text } = props;
      try {
        const found = await post("/crawler/check", { text });
        if (text !== props.text) return;
        verdict.value = found;
        trouble.value = null;
        emit("checked", found);
      } catch (error) {
        if (text === props.text) trouble.value = error;
      }
    }

    watch(
      () => props.text,
      () => {
        clearTimeout(timer);
        emit("checked", null);
        timer = setTimeout(check, PAUSE_MS);
      },
      { immediate: true },
    );
    onBeforeUnmount(() => clearTimeout(timer));

    const lines = computed(() => props.text.split("\n").length);
    const wrong = computed(() => new Set(verdict.value?.problems.map((each) => each.line)));

    function jump(line) {
      const before = props.text.split("\n").slice(0, line - 1);
      const start = before.reduce((sum, each) => sum + each.length + 1, 0);
      const end = props.text.indexOf("\n", start);
      area.value.focus();
      area.value.setSelectionRange(start, end < 0 ? props.text.length : end);
    }

    const problem = (each) =>
      h("li", [
        each.line
          ? h("button", { type: "button", class: "plain", onClick: () => jump(each.line) }, `line ${each.line}`)
          : null,
        each.field ? h("code", each.field) : null,
        h("span", each.message),
      ]);

    function said() {
      if (trouble.value) return h(Trouble, { error: trouble.value });
      if (!verdict.value) return h("p", { class: "muted" }, "checking …");
      if (!verdict.value.ok) return h("ul", { class: "problems" }, verdict.value.problems.map(problem));
      return [
        h("p", { class: "fine" }, "This is a right definition."),
        verdict.value.doubts.length
          ? h("ul", { class: "doubts" }, verdict.value.doubts.map((each) => h("li", each)))
          : null,
      ];
    }

    return () =>
      h("div", { class: "editor" }, [
        h("div", { class: "sheet" }, [
          h(
            "div",
            { class: "gutter", ref: gutter, "aria-hidden": "true" },
            Array.from({ length: lines.value }, (_, at) =>
              h("span", { class: wrong.value.has(at + 1) ? "bad-line" : undefined }, at + 1),
            ),
          ),
          h("textarea", {
            ref: area,
            value: props.text,
            "aria-label": props.label,
            spellcheck: false,
            autocapitalize: "off",
            wrap: "off",
            rows: Math.min(32, Math.max(10, lines.value + 1)),
            onInput: (event) => emit("update:text", event.target.value),
            onScroll: (event) => {
              gutter.value.scrollTop = event.target.scrollTop;
            },
          }),
        ]),
        h("div", { role: "status", "aria-live": "polite" }, said()),
      ]);
  },
};

// Fetches one page, and shows what each field of its rule yields.
export const Trial = {
  props: ["text", "url", "rules"],
  setup(props) {
    const url = ref(props.url ?? "");
    const rule = ref("");
    const found = ref(null);
    const error = ref(null);
    watch(() => props.url, (given) => {
      if (given) url.value = given;
    });

    async function run() {
      found.value = null;
      error.value = null;
      try {
        if (!url.value) throw new ApiError("Give the URL of a page.", 400);
        url.value = address(url.value);
        const asked = { text: props.text, url: url.value, rule: rule.value };
        found.value = await post("/crawler/try", asked, LOOK_MS);
      } catch (failure) {
        error.value = failure;
      }
    }

    return () =>
      h("section", { class: "trial" }, [
        h("h2", "Try it on a page"),
        h("form", { class: "row", onSubmit: (event) => event.preventDefault() }, [
          h(Field, { label: "URL", class: "wide" }, () =>
            h("input", { type: "url", value: url.value, placeholder: "https://", onInput: (e) => (url.value = e.target.value) }),
          ),
          props.rules?.length
            ? h(Field, { label: "Rule" }, () =>
                h("select", { value: rule.value, onChange: (e) => (rule.value = e.target.value) }, [
                  h("option", { value: "" }, "the first that fits"),
                  props.rules.map((each) => h("option", { value: each }, each)),
                ]),
              )
            : null,
          h(Act, { label: "Fetch and show", run, tone: "primary", submits: true }),
        ]),
        h(Trouble, { error: error.value }),
        found.value ? h(Found, { found: found.value }) : null,
      ]);
  },
};

const TRACE = [
  { name: "Field", cell: (each) => h("code", each.match ? `${each.match}. ${each.field}` : each.field) },
  { name: "Value", class: "value", cell: (each) => value(each.value) },
  { name: "Matches", class: "number", cell: (each) => count(each.matched) },
  { name: "Selector", cell: (each) => h("code", each.selector) },
  { name: "Problem", class: "words", cell: (each) => (each.problem ? h("span", { class: "bad-words" }, each.problem) : "") },
];
const FIELDS = [
  { name: "Field", cell: ([field]) => h("code", field) },
  { name: "Value", class: "value", cell: ([, each]) => value(each) },
];

const Found = ({ found }) => {
  if (found.rule === null) {
    return h("p", { class: "trouble" }, "No rule takes this page; choose one above, or give a rule a match that fits.");
  }
  const plain = found.items.flatMap((each) => Object.entries(each.fields));
  return h("div", { class: "found", role: "status" }, [
    h("p", [
      "Rule ", h(Badge, { state: "done", words: found.rule || "all pages" }),
      ` yields ${plural(found.item_count, "item")} and follows ${plural(found.link_count, "link")}.`,
    ]),
    found.fields.length
      ? h(ShortTable, { rows: found.fields, columns: TRACE, label: "fields" })
      : h(ShortTable, { rows: plain, columns: FIELDS, label: "fields", empty: "No item." }),
    found.unfinished ? h("p", "The item goes on on the next page, and is written with the last.") : null,
    found.errors.length ? h("ul", { class: "doubts" }, found.errors.map((each) => h("li", each))) : null,
    found.links.length
      ? h("details", [
          h("summary", plural(found.link_count, "link")),
          h("ul", { class: "links" }, found.links.map((each) =>
            h("li", [
              each.method === "GET" ? null : h("code", each.method),
              h(Outside, { url: each.url }),
              each.to ? h("span", { class: "muted" }, ` to ${each.to}`) : null,
            ]),
          )),
        ])
      : null,
  ]);
};
Found.props = ["found"];
