// Single pages to fetch, as the first reference has them: a name, a target, a type, a result.

import { h, reactive, ref, shallowRef } from "./vendor/vue.js";
import { get, put, remove, post, resourcePath } from "./api.js";
import { confirm } from "./dialog.js";
import { address } from "./format.js";
import { nudge } from "./live.js";
import { say } from "./notices.js";
import { Act, Badge, Field, Heading, Outside, Trouble } from "./parts.js";
import { href } from "./router.js";
import { LongTable } from "./table.js";

const CHUNK = 50;
const KILLABLE = new Set(["WAITING", "INQUEUE", "RUNNING"]);

// Our states as the reference calls them.
function stateOf({ state, progress }) {
  const known = { pending: "WAITING", paused: "WAITING", assigned: "INQUEUE", running: "RUNNING", error: "RUNTIME_ERROR", stopped: "KILLED" };
  return known[state] ?? (progress?.done ? "SUCCEED" : "RUNTIME_ERROR");
}

export const Tasks = {
  setup() {
    const wanted = reactive({ name: "", target: "", type: "" });
    const error = ref(null);
    const result = shallowRef(null);

    async function load(cursor) {
      const answer = await get("/crawler/task", { cursor, limit: CHUNK });
      return { rows: answer.tasks, next: answer.next };
    }

    async function create() {
      error.value = null;
      try {
        wanted.target = address(wanted.target);
        const definition = {
          start_urls: [wanted.target],
          rules: [{ name: "task", match: "**" }],
          store_body: true,
          task: { name: wanted.name, type: wanted.type },
        };
        await put(resourcePath(newId()), definition);
        say(`The task ${wanted.name} is created.`, "good");
        Object.assign(wanted, { name: "", target: "" });
        nudge();
      } catch (failure) {
        error.value = failure;
      }
    }

    async function show({ id, name }) {
      const { items } = await get(resourcePath(id, "/items"), { limit: 1 });
      const { source, note } = items[0]?.fields ?? {};
      result.value = { id, name, source, note: source == null ? note || "it has no text" : note };
    }

    async function kill({ id, name }) {
      await post(resourcePath(id, "/stop"));
      say(`${name || id} is killed.`, "good");
      nudge();
    }

    async function forget({ id, name }) {
      const title = `Delete the task ${name || id}?`;
      if (!(await confirm({ title, words: "Its result goes with it. This cannot be undone.", yes: "Delete" }))) return;
      await remove(resourcePath(id));
      say(`${name || id} is deleted.`, "good");
      nudge();
    }

    const columns = [
      {
        key: "name",
        name: "Name",
        cell: ({ id, name, type }) => [h("a", { href: href(["resources", id]) }, name || id), h("small", type || "no type")],
      },
      { key: "target", name: "Target", cell: ({ target }) => h(Outside, { url: target }) },
      { key: "state", name: "State", cell: (task) => [h(Badge, { state: task.state, words: stateOf(task) }), task.reason === task.state ? null : h("small", { title: task.reason }, task.reason)] },
      {
        key: "end",
        name: "",
        cell: (task) => {
          const state = stateOf(task);
          return [
            h(Act, { label: "Result", run: () => show(task), why: state === "SUCCEED" ? "" : `It is ${state}, and has no result.` }),
            h(Act, { label: "Kill", run: () => kill(task), why: KILLABLE.has(state) ? "" : `It is ${state} already.` }),
            h(Act, { label: "Delete", tone: "danger", run: () => forget(task) }),
          ];
        },
      },
    ];

    const input = (key, label, more) =>
      h(Field, { label, class: key === "target" ? "wide" : undefined }, () =>
        h("input", { name: key, value: wanted[key], autocomplete: "off", onInput: (e) => (wanted[key] = e.target.value), ...more }),
      );

    function why() {
      if (!wanted.name) return "Give it a name first.";
      return wanted.target ? "" : "Give a target first.";
    }

    return () => [
      h(Heading, { title: "Tasks" }),
      h("p", { class: "muted" }, "A task fetches one page and keeps its source. It is a resource like any other, and listed among them, too."),
      h("section", { class: "card" }, [
        h("form", { class: "row", onSubmit: (event) => event.preventDefault() }, [
          input("name", "Name"),
          input("target", "Target", { type: "url", placeholder: "https://" }),
          input("type", "Type"),
          h(Act, { label: "Create", tone: "primary", submits: true, run: create, why: why() }),
        ]),
        h(Trouble, { error: error.value }),
      ]),
      h(LongTable, { class: "tasks", label: "tasks", columns, load, keyOf: ({ id }) => id, about: "", empty: "No task yet." }),
      result.value ? shown(result) : null,
    ];
  },
};

function shown(result) {
  const { name, id, source, note } = result.value;
  return h("section", { "aria-live": "polite" }, [
    h("h2", `Result of ${name || id}`),
    note ? h("p", { class: "muted" }, note) : null,
    source == null ? null : h("pre", { class: "source", tabindex: 0 }, source),
    h("p", { class: "actions" }, h("button", { type: "button", onClick: () => (result.value = null) }, "Close")),
  ]);
}

// As masters make them for callers that give none.
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
}
