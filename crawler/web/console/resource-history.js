// What a resource has done: its runs, the decisions about it, and its events.

import { h } from "./vendor/vue.js";
import { get, resourcePath } from "./api.js";
import { count, moment, nodeName, span, until } from "./format.js";
import { useLive } from "./live.js";
import { ShortTable, Trouble } from "./parts.js";
import { href } from "./router.js";

const MOST = 1000;

export const EVENTS = [
  { name: "When", cell: ({ at }) => moment(at) },
  { name: "What", cell: ({ kind }) => h("code", kind) },
  { name: "Node", cell: ({ node }) => (node ? nodeName(node) : "–") },
  { name: "Detail", class: "detail", cell: ({ detail }) => nodeName(detail) },
  { name: "Request", cell: ({ request_id: id }) => h("small", id || "–") },
];

export const History = {
  props: ["resource"],
  setup(props) {
    const { name } = props.resource;
    const runs = useLive(() => get(resourcePath(name, "/runs")), { period: 4000 });
    const events = useLive(
      async () => (await get(resourcePath(name, "/events"), { limit: MOST })).events.reverse(),
      { period: 4000 },
    );
    const to = (run, tab, query) => href(["resources", name], { tab, run, ...query });
    const columns = [
      { name: "Run", class: "number", cell: ({ run }) => run },
      { name: "Began", cell: (run) => [moment(run.started_at), run.due_at ? h("small", "by schedule") : null] },
      { name: "Took", cell: (run) => span((run.finished_at || Date.now() / 1000) - run.started_at) },
      { name: "Ended", class: "words", cell: (run) => run.finished || "goes on" },
      { name: "Pages", class: "number", cell: (run) => h("a", { href: to(run.run, "pages") }, `${count(run.done)} of ${count(run.known)}`) },
      { name: "Failed", class: "number", cell: (run) => h("a", { href: to(run.run, "pages", { state: "failed" }) }, count(run.failed)) },
      { name: "Unchanged", class: "number", cell: (run) => count(run.unchanged) },
      { name: "Items", class: "number", cell: (run) => h("a", { href: to(run.run, "items") }, count(run.items)) },
    ];

    return () => {
      const { resource } = props;
      return [
        h("section", [
          h("h2", "Runs"),
          h(Trouble, { error: runs.error }),
          runs.data
            ? [
                h("p", runs.data.next_due ? `The next run begins ${until(runs.data.next_due)}, at ${moment(runs.data.next_due)}.` : "No schedule begins another run."),
                h(ShortTable, { label: "runs", rows: [...runs.data.runs].reverse(), columns, empty: "No run yet." }),
              ]
            : null,
        ]),
        h("section", [
          h("h2", "Latest decision"),
          h("p", resource.decision ? `${moment(resource.decided_at)}: ${nodeName(resource.decision)}` : "The leader has not decided about it yet."),
        ]),
        h("section", [
          h("h2", "Events"),
          h(Trouble, { error: events.error }),
          events.data ? h(ShortTable, { label: "events", rows: events.data, columns: EVENTS, empty: "Nothing happened yet." }) : null,
        ]),
      ];
    };
  },
};
