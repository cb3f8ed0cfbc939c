// The cluster at a glance: who leads, how it goes, and what is wrong in words.

import { h } from "./vendor/vue.js";
import { get } from "./api.js";
import { bytes, count, nodeName, plural, rate } from "./format.js";
import { useLive } from "./live.js";
import { Badge, Figure, Heading, Trouble } from "./parts.js";
import { href } from "./router.js";
import { Speeds } from "./speed.js";

const STATES = ["running", "assigned", "pending", "paused", "finished", "stopped", "error"];
const speeds = new Speeds();

export const Overview = {
  setup() {
    const state = useLive(async () => {
      const seen = await get("/crawler/overview");
      const { totals } = seen;
      return {
        ...seen,
        pace: totals && speeds.of("pages", totals.done + totals.failed),
        failing_pace: totals && speeds.of("failed", totals.failed),
      };
    });
    return () => [
      h(Heading, { title: "Overview" }, () => h("a", { class: "button primary", href: href(["new"]) }, "New crawl")),
      h(Trouble, { error: state.error }),
      state.data ? glance(state.data) : h("p", { "aria-busy": "true" }, "looking …"),
    ];
  },
};

function glance(seen) {
  const { totals } = seen;
  const resources = Object.values(seen.states).reduce((sum, each) => sum + each, 0);
  return [
    health(seen.wrong),
    h("dl", { class: "figures" }, [
      h(Figure, { name: "Leader", note: `${plural(seen.masters, "master")}` }, () => seen.leader ? nodeName(seen.leader) : "none"),
      h(Figure, { name: "Workers" }, () => h("a", { href: href(["nodes"]) }, count(seen.workers))),
      h(Figure, { name: "Resources", note: `${count(seen.states.running ?? 0)} running` }, () => h("a", { href: href(["resources"]) }, count(resources))),
      totals ? h(Figure, { name: "Pages per second", note: "all crawls together" }, () => rate(seen.pace)) : null,
      totals ? h(Figure, { name: "Pages", note: `${count(totals.pending)} to go` }, () => count(totals.done)) : null,
      totals ? h(Figure, { name: "Failed", tone: totals.failed ? "bad" : "", note: seen.failing_pace ? `${rate(seen.failing_pace)} now` : "none just now" }, () => count(totals.failed)) : null,
      totals ? h(Figure, { name: "Items" }, () => count(totals.items)) : null,
      totals ? h(Figure, { name: "Fetched" }, () => bytes(totals.fetched_bytes)) : null,
    ]),
    resources ? [states(seen.states), failing(seen.failing)] : welcome(),
  ];
}

function health(wrong) {
  if (!wrong.length) return h("p", { class: "fine big" }, "All is well.");
  return h("section", { "aria-label": "what is wrong" }, [
    h("ul", { class: "wrong" }, wrong.map((each) =>
      h("li", [
        h(Badge, { state: each.weight }),
        h("div", [named(each), h("span", { class: "words" }, nodeName(each.words))]),
      ]),
    )),
  ]);
}

function named({ about, name, more }) {
  const others = more ? ` and ${plural(more, "other")}` : "";
  if (about === "resource") return h("strong", [h("a", { href: href(["resources", name]) }, name), others]);
  if (about === "node") return h("strong", h("a", { href: href(["nodes"]) }, nodeName(name)));
  return h("strong", name);
}

function states(found) {
  return h("section", [
    h("h2", "Resources by state"),
    h("p", { class: "chips" }, STATES.filter((each) => found[each]).map((each) =>
      h("a", { href: href(["resources"], { state: each }), class: "chip" }, [
        h(Badge, { state: each }), ` ${count(found[each])}`,
      ]),
    )),
  ]);
}

function failing(found) {
  if (!found.length) return null;
  return h("section", [
    h("h2", "Where pages fail"),
    h("ul", { class: "rows" }, found.slice(0, 8).map(({ name, failed, known }) =>
      h("li", [
        h("a", { href: href(["resources", name], { tab: "pages", state: "failed" }) }, name),
        h("span", { class: "muted" }, `${count(failed)} of ${plural(known, "page")}`),
      ]),
    )),
  ]);
}

function welcome() {
  return h("section", { class: "card welcome" }, [
    h("h2", "Nothing is crawled yet"),
    h("p", "Give the address of a site; a first definition is guessed from one of its pages, and you can try it before anything is crawled."),
    h("a", { class: "button primary", href: href(["new"]) }, "Crawl a site"),
  ]);
}
