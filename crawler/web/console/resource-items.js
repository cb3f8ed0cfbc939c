// The items of a run: found by a text, and as files.

import { computed, h } from "./vendor/vue.js";
import { get, resourcePath } from "./api.js";
import { value } from "./format.js";
import { Field, Outside } from "./parts.js";
import { href, refine, route } from "./router.js";
import { LongTable } from "./table.js";

const CHUNK = 100;
const SHOWN = 12; // fields of an item

export const Items = {
  props: ["resource"],
  setup(props) {
    const { name } = props.resource;
    const filter = computed(() => {
      const { text = "", run = "" } = route.value.query;
      return { text, run };
    });

    async function load(cursor) {
      const answer = await get(resourcePath(name, "/items"), { ...filter.value, cursor, limit: CHUNK });
      return { rows: answer.items, next: answer.next };
    }

    const field = ([key, given]) => h("div", [h("dt", key), h("dd", { title: value(given) }, value(given))]);

    const columns = [
      {
        key: "fields",
        name: "Item",
        cell: ({ fields, missing, rule }) => [
          h("dl", Object.entries(fields).slice(0, SHOWN).map(field)),
          missing.length ? h("small", { class: "bad-words" }, `missing: ${missing.join(", ")}`) : h("small", rule),
        ],
      },
      {
        key: "page",
        name: "From",
        cell: ({ url }) => [
          h("a", { href: href(["resources", name, "url"], { url, run: filter.value.run }), title: url }, url),
          h("small", h(Outside, { url, words: "open" })),
        ],
      },
    ];

    return () => {
      const run = filter.value.run ? `?run=${filter.value.run}` : "";
      return [
        h("form", { class: "row filters", onSubmit: (event) => event.preventDefault() }, [
          h(Field, { label: "A field holds" }, () =>
            h("input", { type: "search", maxlength: 200, value: filter.value.text, onInput: (e) => refine({ text: e.target.value }) }),
          ),
          h("span", { class: "end" }, [
            h("span", { class: "muted" }, filter.value.run ? `Run ${filter.value.run}` : "Latest run"),
            h("a", { class: "button", href: `${resourcePath(name, "/items.csv")}${run}`, download: "" }, "Download CSV"),
            h("a", { class: "download", href: `${resourcePath(name, "/items.jsonl")}${run}`, download: "" }, "JSON lines"),
          ]),
        ]),
        h(LongTable, {
          class: "items",
          label: "items",
          columns,
          load,
          keyOf: ({ seq }) => seq,
          about: JSON.stringify(filter.value),
          empty: filter.value.text ? "No item holds that." : "No item yet.",
          live: 4000,
        }),
      ];
    };
  },
};
