// All resources: found, selected, steered.

import { computed, h, reactive, ref } from "./vendor/vue.js";
import { get } from "./api.js";
import { count, nodeName, plural, rate, span, until } from "./format.js";
import { DEEDS, perform } from "./deeds.js";
import { Act, Badge, Field, Heading, Progress } from "./parts.js";
import { href, refine, route } from "./router.js";
import { Speeds, timeLeft } from "./speed.js";
import { LongTable } from "./table.js";

const CHUNK = 100;
const STATES = ["running", "assigned", "pending", "paused", "finished", "stopped", "error"];
const speeds = new Speeds();

const COLUMNS = [
  {
    key: "name",
    name: "Name",
    cell: (row) => [
      h("a", { href: href(["resources", row.name]) }, row.name),
      row.assigned_node ? h("small", nodeName(row.assigned_node)) : null,
    ],
  },
  {
    key: "state",
    name: "State",
    cell: (row) => [h(Badge, { state: row.state }), row.reason && row.reason !== row.state ? h("small", { title: row.reason }, nodeName(row.reason)) : null],
  },
  {
    key: "progress",
    name: "Progress",
    cell: ({ progress, progress_error }) =>
      progress
        ? [
            h(Progress, { counters: progress }),
            h("small", [
              `${count(progress.done)} of ${count(progress.known)}`,
              progress.failed ? h("span", { class: "bad-words" }, ` · ${count(progress.failed)} failed`) : null,
              progress.items ? ` · ${plural(progress.items, "item")}` : null,
            ]),
          ]
        : h("small", progress_error || "not begun"),
  },
  { key: "rate", name: "Rate", cell: (row) => (row.state === "running" ? rate(row.pace) : "–") },
  { key: "left", name: "Time left", cell: (row) => (row.state === "running" ? span(row.left) : "–") },
  { key: "due", name: "Next run", cell: (row) => (row.next_due ? until(row.next_due) : "–") },
];

function paced(row) {
  if (!row.progress) return row;
  const { done, failed, pending } = row.progress;
  const pace = speeds.of(row.id, done + failed);
  return { ...row, pace, left: timeLeft(pending, pace) };
}

export const Resources = {
  setup() {
    const picked = ref(new Set());
    const seen = reactive({ rows: [], more: false, totals: null });
    const filter = computed(() => ({ contains: route.value.query.contains ?? "", state: route.value.query.state ?? "" }));

    async function load(cursor) {
      const answer = await get("/crawler/resource", { ...filter.value, cursor, limit: CHUNK });
      return { rows: answer.resources.map(paced), next: answer.next, totals: answer.totals };
    }

    function loaded({ totals }, rows, more) {
      Object.assign(seen, { rows, more, totals });
    }

    const chosen = computed(() => seen.rows.filter(({ name }) => picked.value.has(name)));
    const total = computed(() => {
      if (!seen.totals) return null;
      const { state } = filter.value;
      if (state) return seen.totals[state] ?? 0;
      return Object.values(seen.totals).reduce((sum, each) => sum + each, 0);
    });

    async function act(deed) {
      const able = chosen.value.filter((row) => !deed.why(row)).map(({ name }) => name);
      if (await perform(deed, able)) picked.value = new Set();
    }

    function why(deed) {
      if (!chosen.value.length) return "Select resources first.";
      const refusals = chosen.value.map(deed.why);
      return refusals.every(Boolean) ? refusals[0] : "";
    }

    // All that fit, also those that were not scrolled to yet.
    async function selectAll(on) {
      if (!on) {
        picked.value = new Set();
        return;
      }
      let { rows } = seen;
      if (seen.more) {
        rows = [];
        let cursor = "";
        do {
          const answer = await get("/crawler/resource", { ...filter.value, cursor, limit: 1000 });
          rows.push(...answer.resources);
          cursor = answer.next;
        } while (cursor);
        seen.rows = rows;
      }
      picked.value = new Set(rows.map(({ name }) => name));
    }

    return () => [
      h(Heading, { title: "Resources" }, () => h("a", { class: "button primary", href: href(["new"]) }, "New crawl")),
      h("form", { class: "row filters", onSubmit: (event) => event.preventDefault() }, [
        h(Field, { label: "Name holds" }, () =>
          h("input", { type: "search", value: filter.value.contains, onInput: (e) => refine({ contains: e.target.value }) }),
        ),
        h(Field, { label: "State" }, () =>
          h("select", { value: filter.value.state, onChange: (e) => refine({ state: e.target.value }) }, [
            h("option", { value: "" }, "all"),
            STATES.map((each) => h("option", { value: each }, each)),
          ]),
        ),
        h("span", { class: "muted total", role: "status" }, total.value === null ? "" : plural(total.value, "resource")),
      ]),
      h("div", { class: "toolbar", role: "toolbar", "aria-label": "with the selected" }, [
        h("label", { class: "all" }, [
          h("input", {
            type: "checkbox",
            checked: picked.value.size > 0 && picked.value.size >= (total.value ?? seen.rows.length),
            indeterminate: picked.value.size > 0 && picked.value.size < (total.value ?? seen.rows.length),
            onChange: (event) => selectAll(event.target.checked),
          }),
          picked.value.size ? `${count(picked.value.size)} selected` : "Select all",
        ]),
        picked.value.size
          ? DEEDS.map((deed) =>
              h(Act, { key: deed.key, label: deed.label, title: deed.title, tone: deed.tone, why: why(deed), run: () => act(deed) }),
            )
          : null,
      ]),
      h(LongTable, {
        class: "resources",
        label: "resources",
        columns: COLUMNS,
        load,
        keyOf: ({ name }) => name,
        about: JSON.stringify(filter.value),
        picked: picked.value,
        empty: filter.value.contains || filter.value.state ? "No resource fits." : "There is no resource yet.",
        onPick: (set) => (picked.value = set),
        onLoaded: loaded,
      }),
    ];
  },
};
