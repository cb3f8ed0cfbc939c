// The pages of a run: why they failed, which they are, and once more.

import { computed, h, ref } from "./vendor/vue.js";
import { get, resourcePath } from "./api.js";
import { retry } from "./deeds.js";
import { address, ago, bytes, count, plural, span } from "./format.js";
import { nudge, useLive } from "./live.js";
import { say } from "./notices.js";
import { Act, Badge, Field, Trouble } from "./parts.js";
import { go, href, refine, route } from "./router.js";
import { LongTable } from "./table.js";

const CHUNK = 100;
const STATES = ["pending", "done", "failed", "excluded"];

export const Pages = {
  props: ["resource"],
  setup(props) {
    const { name } = props.resource;
    const asked = ref("");
    const filter = computed(() => {
      const { state = "", status = "", text = "", run = "" } = route.value.query;
      return { state, status, text, run };
    });
    const reasons = useLive(
      async () => (await get(resourcePath(name, "/reasons"), { run: filter.value.run })).reasons,
      { about: () => filter.value.run, period: 5000 },
    );

    async function load(cursor) {
      const answer = await get(resourcePath(name, "/pages"), { ...filter.value, cursor, limit: CHUNK });
      return { rows: answer.pages, next: answer.next };
    }

    async function again() {
      const { status, text, run } = filter.value;
      const pages = await retry(name, { status: status || null, reason: text || null, run: Number(run) || null });
      say(`${plural(pages, "page")} of ${name} ${pages === 1 ? "is" : "are"} tried again.`, "good");
      nudge();
    }

    const columns = [
      {
        key: "url",
        name: "URL",
        cell: (page) => [
          h("a", { href: href(["resources", name, "url"], { key: page.key, run: filter.value.run }), title: page.url }, page.url),
          h("small", page.found_on ? `depth ${page.depth}, found on ${page.found_on}` : `depth ${page.depth}`),
        ],
      },
      { key: "state", name: "State", cell: (page) => [h(Badge, { state: page.state }), page.reason ? h("small", { title: page.reason }, page.reason) : null] },
      { key: "status", name: "Status", cell: ({ status }) => status || "–" },
      { key: "took", name: "Took", cell: (page) => (page.elapsed_s ? [span(page.elapsed_s), h("small", bytes(page.size_bytes))] : "–") },
      { key: "tries", name: "Tries", cell: ({ attempts }) => attempts },
      { key: "at", name: "Fetched", cell: ({ fetched_at: at }) => ago(at) },
    ];

    const alike = (each) => {
      const { state, status, text } = filter.value;
      return state === each.state && status === String(each.status) && text === each.reason;
    };

    const chip = (each) =>
      h(
        "button",
        {
          type: "button",
          class: ["chip", each.state],
          "aria-pressed": alike(each) ? "true" : "false",
          onClick: () =>
            refine(alike(each) ? { state: each.state, status: "", text: "" } : { state: each.state, status: each.status ? String(each.status) : "", text: each.reason.slice(0, 200) }),
        },
        [h("strong", count(each.pages)), ` ${each.reason || `HTTP ${each.status}`}`],
      );

    function whyNot() {
      const { progress, run } = props.resource;
      if (filter.value.run && Number(filter.value.run) !== run) return "Only pages of the latest run can be tried again.";
      return progress?.failed ? "" : "No page of the latest run has failed.";
    }

    function lookUp(event) {
      event.preventDefault();
      if (asked.value.trim()) go(["resources", name, "url"], { url: address(asked.value) });
    }

    return () => {
      const failed = filter.value.state === "failed";
      return [
        reasons.data?.length
          ? h("section", { class: "reasons" }, [
              h("h2", "Why pages failed or were left out"),
              h("div", { class: "chips" }, reasons.data.slice(0, 12).map(chip)),
            ])
          : null,
        h(Trouble, { error: reasons.error }),
        h("form", { class: "row filters", onSubmit: (event) => event.preventDefault() }, [
          h(Field, { label: "State" }, () =>
            h("select", { value: filter.value.state, onChange: (e) => refine({ state: e.target.value }) }, [
              h("option", { value: "" }, "all"),
              STATES.map((each) => h("option", { value: each }, each)),
            ]),
          ),
          h(Field, { label: "Status", class: "narrow" }, () =>
            h("input", { inputmode: "numeric", pattern: "[0-9]{0,3}", value: filter.value.status, placeholder: "any", onInput: (e) => /^\d{0,3}$/.test(e.target.value) && refine({ status: e.target.value }) }),
          ),
          h(Field, { label: "URL or reason holds" }, () =>
            h("input", { type: "search", maxlength: 200, value: filter.value.text, onInput: (e) => refine({ text: e.target.value }) }),
          ),
          h("span", { class: "end" }, [
            failed ? h(Act, { label: "Retry these", run: again, why: whyNot() }) : null,
            h("a", { class: "download", href: `${resourcePath(name, "/pages.csv")}${filter.value.run && `?run=${filter.value.run}`}`, download: "" }, "CSV"),
            h("a", { class: "download", href: `${resourcePath(name, "/pages.jsonl")}${filter.value.run && `?run=${filter.value.run}`}`, download: "" }, "JSON lines"),
          ]),
        ]),
        h("form", { class: "row filters", novalidate: true, onSubmit: lookUp }, [
          h(Field, { label: "What happened to this URL?", class: "wide" }, () =>
            h("input", { type: "url", value: asked.value, placeholder: "https://", onInput: (e) => (asked.value = e.target.value) }),
          ),
          h("button", { type: "submit" }, "Tell"),
        ]),
        h(LongTable, {
          class: "pages",
          label: "pages",
          columns,
          load,
          keyOf: ({ key }) => key,
          about: JSON.stringify(filter.value),
          empty: "No page fits.",
        }),
      ];
    };
  },
};
