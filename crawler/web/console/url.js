// What happened to one URL: from how it was found, through what was tried, to what it brought.

import { h } from "./vendor/vue.js";
import { get, resourcePath } from "./api.js";
import { retry } from "./deeds.js";
import { ago, bytes, moment, nodeName, plural, span, value } from "./format.js";
import { nudge, useLive } from "./live.js";
import { say } from "./notices.js";
import { Act, Badge, Heading, Outside, ShortTable, Trouble } from "./parts.js";
import { href, route } from "./router.js";
import { advice } from "./advice.js";

const RUNS = [
  { name: "Run", class: "number", cell: ({ run }) => run },
  { name: "State", cell: ({ state }) => h(Badge, { state }) },
  { name: "Status", class: "number", cell: ({ status }) => status || "–" },
  { name: "Reason", class: "words", cell: ({ reason }) => reason || "–" },
  { name: "Tries", class: "number", cell: ({ attempts }) => attempts },
  { name: "Fetched", cell: ({ fetched_at: at }) => moment(at) },
];

export const Url = {
  props: ["name"],
  setup(props) {
    const asked = () => {
      const { url = "", key = "", run = "" } = route.value.query;
      return { url, key, run };
    };
    const state = useLive(
      async () => {
        const { story } = await get(resourcePath(props.name, "/url"), asked());
        return { ...story, turn: story.page.state === "pending" ? await turnOf(props.name, story) : "" };
      },
      { about: () => JSON.stringify(asked()), period: 4000 },
    );
    return () => [
      h("p", { class: "crumbs" }, [
        h("a", { href: href(["resources", props.name]) }, props.name),
        " / ",
        h("a", { href: href(["resources", props.name], { tab: "pages" }) }, "pages"),
      ]),
      h(Heading, { title: "What happened to this URL" }),
      state.error ? h("p", { class: "address" }, h(Outside, { url: asked().url })) : null,
      h(Trouble, { error: state.error }),
      state.data ? tell(props.name, state.data) : state.error ? null : h("p", { "aria-busy": "true" }, "looking …"),
    ];
  },
};

function tell(name, story) {
  const { page } = story;
  const to = (query) => href(["resources", name, "url"], query);
  return [
    h("p", { class: "address" }, [story.method === "GET" ? null : h("code", story.method), h(Outside, { url: page.url })]),
    h("p", { class: "why" }, [h(Badge, { state: page.state }), " ", h("span", advice(story))]),
    h("p", { class: "actions" }, [
      h("a", { class: "button", href: href(["resources", name], { tab: "definition", try: page.url }) }, "Try the definition on it"),
      page.state === "failed" ? alike(name, story) : null,
    ]),
    h("ol", { class: "story" }, [
      step("Found", found(story, to)),
      step("Waited", waited(story)),
      step("Fetched", fetched(story)),
      step("Read", read(story)),
      step("Led to", led(story, to)),
    ]),
    story.items.length
      ? h("section", [h("h2", plural(story.items.length, "item")), story.items.map(itemOf)])
      : null,
    h("section", [h("h2", "In each run"), h(ShortTable, { label: "runs", rows: story.runs, columns: RUNS, empty: "In this one only." })]),
  ];
}

// It and all that failed for the same reason: shown, or tried again where theirs is the latest run.
function alike(name, { page, run, runs }) {
  const text = page.reason.slice(0, 200);
  async function again() {
    const pages = await retry(name, { status: String(page.status), reason: text || null, run });
    say(`${plural(pages, "page")} of ${name} ${pages === 1 ? "is" : "are"} tried again.`, "good");
    nudge();
  }
  return [
    h("a", { class: "button", href: href(["resources", name], { tab: "pages", state: "failed", text, status: page.status || "" }) }, "All that failed alike"),
    run >= Math.max(...runs.map((each) => each.run)) ? h(Act, { label: "Retry them", run: again }) : null,
  ];
}

const step = (title, content) => h("li", [h("h2", title), content]);

function found({ page, way, run }, to) {
  if (!way.length) return h("p", page.found_on ? `On ${page.found_on}.` : `Run ${run} began with it: it is a start URL, or stood in a sitemap.`);
  return [
    h("p", `At depth ${page.depth}, on the first of these pages, which came from the next, and so on:`),
    h("ul", { class: "links" }, way.map((each) => h("li", [h("a", { href: to({ key: each.key, run }) }, each.url), " ", each.state === "done" ? null : h(Badge, { state: each.state })]))),
  ];
}

// Why its host is not asked just now, as the worker that crawls it tells; "" where it does not.
async function turnOf(name, { page }) {
  try {
    const { parts } = await get(resourcePath(name, "/live"));
    const hosts = parts.flatMap(({ live }) => live?.hosts ?? []);
    const reason = hosts.find(({ host }) => host === page.host)?.reason;
    return reason ? `At the moment its host waits: ${reason}.` : "";
  } catch {
    return ""; // the story is worth telling without
  }
}

function waited({ page, turn, not_before: due }) {
  const queue = `Priority ${page.priority}, at ${page.host}: one of its pages after the other, as fast as the host may be asked.`;
  if (page.state !== "pending") return h("p", queue);
  return h("p", due > Date.now() / 1000 ? `It waits until ${moment(due)} to be tried again. ${queue} ${turn}` : `It is due, and waits for its turn. ${queue} ${turn}`);
}

const AFTERWARDS = { pending: "to be tried again", failed: "given up" };

function fetched({ page, attempts, final_url: last }) {
  if (!attempts.length) return h("p", page.state === "pending" ? "Not yet." : "Never: it was decided without asking the server.");
  const forgotten = page.attempts - attempts.length;
  return [
    forgotten > 0 ? h("p", `${plural(forgotten, "earlier attempt")} not kept.`) : null,
    h("ol", { class: "attempts" }, attempts.map(attempt)),
    page.size_bytes ? h("p", `${bytes(page.size_bytes)} of ${page.content_type || "unknown type"}.`) : null,
    last && last !== page.url ? h("p", ["It was redirected to ", h(Outside, { url: last }), "."]) : null,
  ];
}

// One attempt in a line. An HTTP error says in its reason what its status says.
function attempt({ at, state, status, reason, elapsed_s: elapsed, node }) {
  const answer = status ? `HTTP ${status}` : reason || "no answer";
  const why = status && reason && reason.toLowerCase() !== `http ${status}` ? `: ${reason}` : "";
  const spent = elapsed ? ` after ${span(elapsed)}` : "";
  return h("li", [
    h("time", { datetime: new Date(at * 1000).toISOString(), title: ago(at) }, moment(at)),
    h("span", [`${answer}${spent}${node ? ` at ${nodeName(node)}` : ""}${why}`, AFTERWARDS[state] ? `; ${AFTERWARDS[state]}.` : "."]),
  ]);
}

function read({ page, items }) {
  if (page.state !== "done") return h("p", "No.");
  const rule = page.rule ? `By rule ${page.rule}` : "By no rule of its own";
  return h("p", `${rule}: ${items.length ? plural(items.length, "item") : "no item"}.`);
}

function led({ found: urls, run }, to) {
  if (!urls.length) return h("p", "No page was first found on it.");
  return h("details", [
    h("summary", urls.length === 100 ? "100 pages or more that were first found on it" : `${plural(urls.length, "page")} first found on it`),
    h("ul", { class: "links" }, urls.map((url) => h("li", h("a", { href: to({ url, run }) }, url)))),
  ]);
}

const itemOf = ({ fields, missing }) =>
  h("article", { class: "card item" }, [
    h("dl", Object.entries(fields).map(([key, given]) => h("div", [h("dt", key), h("dd", value(given))]))),
    missing.length ? h("p", { class: "bad-words" }, `missing: ${missing.join(", ")}`) : null,
  ]);
