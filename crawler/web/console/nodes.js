// The processes of the cluster: who leads, who works, who is to be emptied.

import { h } from "./vendor/vue.js";
import { get, post } from "./api.js";
import { confirm } from "./dialog.js";
import { count, nodeName, plural, span } from "./format.js";
import { nudge, useLive } from "./live.js";
import { say } from "./notices.js";
import { Act, Badge, Heading, ShortTable, Trouble } from "./parts.js";

const WORKER = "go.micro.server.worker";
const PROXY = "Proxy"; // a column only where some worker has one

const STANDING = [
  { name: "Node", cell: ({ id }) => h("strong", nodeName(id)) },
  { name: "State", cell: (node) => standing(node) },
];
const REST = [
  { name: "Up", cell: ({ uptime_s: up }) => (up ? span(up) : "–") },
  { name: "Address", cell: ({ address }) => h("code", address) },
  { name: "Version", cell: ({ version, native }) => (native ? version : "Go original") },
];

function proxied({ proxy }) {
  if (!proxy) return "–";
  const { hits, misses, revalidated, stale } = proxy;
  const words = [["hit", hits], ["miss", misses], ["revalidated", revalidated], ["stale", stale]];
  return words.filter(([, n], place) => n || place < 2).map(([word, n]) => `${count(n)} ${word}`).join(", ");
}

function standing(node) {
  if (node.trouble) return [h(Badge, { state: "error", words: "trouble" }), h("small", node.trouble)];
  if (node.unsigned) return [h(Badge, { state: "warning", words: "unsigned" }), h("small", "its record does not bear this cluster's signature: it is given nothing")];
  if (node.drained) return h(Badge, { state: "paused", words: "drained" });
  if (node.leader) return h(Badge, { state: "running", words: "leads" });
  return h(Badge, { state: "done", words: node.service === WORKER ? "works" : "ready" });
}

async function drain(node) {
  const name = nodeName(node.id);
  const undo = node.drained;
  if (!undo) {
    const moved = `Its ${plural(node.resources, "resource")} ${node.resources === 1 ? "goes" : "go"} to other workers, and it`;
    const words = `${node.resources ? moved : "It"} gets no more until that is undone. Nothing is lost.`;
    if (!(await confirm({ title: `Drain ${name}?`, words, yes: "Drain" }))) return;
  }
  await post(`/crawler/node/${encodeURIComponent(node.id)}/drain`, { undo });
  say(undo ? `${name} gets work again.` : `${name} is drained.`, "good");
  nudge();
}

export const Nodes = {
  setup() {
    const state = useLive(async () => (await get("/crawler/node")).nodes);
    const workers = [
      ...STANDING,
      { name: "Resources", class: "number", cell: ({ resources }) => count(resources) },
      { name: "Pages in work", class: "number", cell: ({ active }) => count(active) },
      { name: PROXY, cell: proxied },
      ...REST,
      { name: "", class: "end", cell: (node) => h(Act, { label: node.drained ? "Undo drain" : "Drain", run: () => drain(node), why: node.native ? "" : "It does not know how to be drained." }) },
    ];
    return () => {
      const nodes = state.data ?? [];
      const those = (working) => nodes.filter(({ service }) => (service === WORKER) === working);
      const shown = workers.filter(({ name }) => name !== PROXY || nodes.some(({ proxy }) => proxy));
      return [
        h(Heading, { title: "Nodes" }),
        h(Trouble, { error: state.error }),
        state.data
          ? [
              h("section", [h("h2", "Workers"), h(ShortTable, { label: "workers", rows: those(true), columns: shown, empty: "No worker is up. Start one: crawler worker" })]),
              h("section", [h("h2", "Masters"), h(ShortTable, { label: "masters", rows: those(false), columns: [...STANDING, ...REST] })]),
            ]
          : h("p", { "aria-busy": "true" }, "looking …"),
      ];
    };
  },
};
