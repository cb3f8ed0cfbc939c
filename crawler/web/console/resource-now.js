// How a crawl goes at this moment, and which hosts wait for what.

import { h } from "./vendor/vue.js";
import { get, resourcePath } from "./api.js";
import { Chart, note } from "./chart.js";
import { ago, count, nodeName, plural, rate, span } from "./format.js";
import { useLive } from "./live.js";
import { Badge, ShortTable, Trouble } from "./parts.js";

const HOSTS = [
  { name: "Host", cell: ({ host }) => host },
  { name: "Waiting here", class: "number", cell: ({ queued }) => plural(queued, "request") },
  { name: "Why the next one waits", class: "words", cell: ({ reason }) => reason || "it does not" },
];
const PARTS = [
  { name: "Part", cell: ({ number }) => number },
  { name: "State", cell: ({ state }) => h(Badge, { state }) },
  { name: "Worker", cell: ({ assigned_node: node }) => (node ? nodeName(node) : "–") },
  { name: "Why", class: "words", cell: ({ reason, decision }) => nodeName(reason || decision) },
];
const SINKS = [
  { name: "Sink", cell: ({ sink }) => h("code", sink) },
  { name: "Run", class: "number", cell: ({ run }) => run },
  { name: "Delivered", class: "number", cell: ({ delivered }) => count(delivered) },
  { name: "Yet to get", class: "number", cell: ({ lag }) => count(lag) },
  { name: "Last", cell: ({ delivered_at: at }) => ago(at) },
  { name: "Trouble", class: "words", cell: ({ trouble, failures }) => (trouble ? h("span", { class: "bad-words" }, `${trouble} (${failures} times)`) : "none") },
];

export const Now = {
  props: ["resource"],
  setup(props) {
    const { name } = props.resource;
    const state = useLive(async () => {
      const { parts } = await get(resourcePath(name, "/live"));
      const lives = parts.map(({ live }) => live).filter(Boolean);
      const perSecond = lives.reduce((sum, each) => sum + each.pages_per_s, 0);
      const answering = lives.filter((each) => each.latency_s);
      const latency = answering.reduce((sum, each) => sum + each.latency_s, 0) / (answering.length || 1);
      return { parts, lives, perSecond, history: note(name, perSecond, latency) };
    });
    const sinks = useLive(async () => (await get(resourcePath(name, "/sinks"))).sinks);

    return () => {
      const { resource } = props;
      const now = state.data;
      return [
        h(Trouble, { error: state.error }),
        now && (now.lives.length || now.history[1].some(Boolean)) ? h(Chart, { history: now.history, at: state.at }) : null,
        now ? going(now, resource) : null,
        resource.parts.length
          ? h("section", [
              h("h2", "Parts"),
              h(ShortTable, { label: "parts", rows: resource.parts.map((each, number) => ({ ...each, number })), columns: PARTS }),
            ])
          : null,
        sinks.data?.length
          ? h("section", [h("h2", "Sinks"), h(ShortTable, { label: "sinks", rows: sinks.data, columns: SINKS })])
          : null,
        h(Trouble, { error: sinks.error }),
      ];
    };
  },
};

function going({ parts, lives, perSecond }, resource) {
  const silent = resource.state === "running" ? parts.filter(({ trouble }) => trouble) : [];
  const hosts = lives.flatMap((each) => each.hosts).sort((a, b) => b.queued - a.queued);
  const waiting = lives.map((each) => each.waiting).find(Boolean);
  const active = lives.reduce((sum, each) => sum + each.active, 0);
  const latency = lives.find((each) => each.latency_s)?.latency_s;
  return h("section", [
    h("h2", "Right now"),
    lives.length
      ? h("p", `${rate(perSecond)}; ${plural(active, "request")} under way; answers take ${latency ? span(latency) : "– "}. ${waiting ? `The next request waits: ${waiting}.` : ""}`)
      : h("p", { class: "muted" }, resource.state === "running" ? "Its worker has not told yet how it goes." : `Nothing is fetched, because it is ${resource.state}.`),
    silent.map(({ node, trouble }) => h("p", { class: "trouble" }, `${nodeName(node)} does not tell: ${trouble}`)),
    lives.length ? h(ShortTable, { label: "hosts", rows: hosts, columns: HOSTS, empty: "No request is at hand." }) : null,
  ]);
}
