// What happened in the cluster, the newest first.

import { h } from "./vendor/vue.js";
import { get } from "./api.js";
import { moment, nodeName } from "./format.js";
import { Heading } from "./parts.js";
import { href } from "./router.js";
import { LongTable } from "./table.js";

const CHUNK = 200;

const COLUMNS = [
  { key: "when", name: "When", cell: ({ at }) => moment(at) },
  { key: "name", name: "Resource", cell: ({ name }) => (name ? h("a", { href: href(["resources", name], { tab: "history" }) }, name) : "–") },
  { key: "kind", name: "What", cell: ({ kind }) => h("code", kind) },
  { key: "detail", name: "Detail", cell: ({ detail }) => h("span", { title: detail }, nodeName(detail)) },
  { key: "node", name: "Node", cell: ({ node }) => (node ? nodeName(node) : "–") },
  { key: "request", name: "Request", cell: ({ request_id: id }) => (id ? h("small", { title: id }, id) : "–") },
];

async function load(cursor) {
  const answer = await get("/crawler/event", { cursor, limit: CHUNK });
  return { rows: answer.events, next: answer.next };
}

export const Events = () => [
  h(Heading, { title: "Events" }),
  h(LongTable, { class: "events", label: "events", columns: COLUMNS, load, keyOf: ({ seq }) => seq, about: "", empty: "Nothing happened yet." }),
];
