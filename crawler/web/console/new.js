// A new crawl: from the address of a site to a definition that was tried.

import { h, ref } from "./vendor/vue.js";
import { LOOK_MS, post, put, resourcePath } from "./api.js";
import { Editor, Trial } from "./editor.js";
import { address } from "./format.js";
import { Act, Field, Heading, Trouble } from "./parts.js";
import { go } from "./router.js";
import { say } from "./notices.js";

export const NewResource = {
  setup() {
    const url = ref("");
    const name = ref("");
    const named = ref(false); // by hand
    const text = ref("");
    const verdict = ref(null);
    const error = ref(null);
    const refused = ref(null);

    function typed(value) {
      url.value = value;
      if (!named.value) name.value = nameOf(value);
    }

    function followAll() {
      typed(address(url.value));
      text.value = plain(url.value);
    }

    async function propose() {
      error.value = null;
      typed(address(url.value));
      try {
        text.value = (await post("/crawler/starter", { url: url.value }, LOOK_MS)).text;
      } catch (failure) {
        error.value = failure;
        if (!failure.away && !text.value) text.value = plain(url.value);
      }
    }

    async function create() {
      refused.value = null;
      try {
        const { definition } = verdict.value;
        const changed = await put(resourcePath(name.value), definition);
        say(changed.created ? `${name.value} is created.` : `${name.value} was there; it has this definition now.`, "good");
        go(["resources", name.value]);
      } catch (failure) {
        refused.value = failure;
      }
    }

    function why() {
      if (!name.value) return "Give it a name first.";
      if (!text.value) return "Write a definition first.";
      if (!verdict.value) return "The definition is being checked.";
      return verdict.value.ok ? "" : "The definition is not right yet.";
    }

    return () => [
      h(Heading, { title: "New crawl" }),
      h("section", { class: "card" }, [
        h("form", { class: "row", onSubmit: (event) => event.preventDefault() }, [
          h(Field, { label: "A page of the site, best one with a list", class: "wide" }, () =>
            h("input", { type: "url", name: "url", value: url.value, placeholder: "https://shop.example/", autocomplete: "off", onInput: (e) => typed(e.target.value) }),
          ),
          h(Field, { label: "Name" }, () =>
            h("input", {
              name: "name",
              value: name.value,
              placeholder: "shop",
              autocomplete: "off",
              onInput: (e) => {
                named.value = e.target.value !== "";
                name.value = e.target.value;
              },
            }),
          ),
          h(Act, { label: "Suggest a definition", tone: "primary", submits: true, run: propose, why: url.value ? "" : "Give the URL of a page first." }),
          h(Act, { label: "Follow everything", title: "no rules: the whole site, and of each page its title, text and the like", run: async () => followAll(), why: url.value ? "" : "Give the URL of a page first." }),
        ]),
        h(Trouble, { error: error.value }),
      ]),
      text.value
        ? [
            h("section", [
              h("h2", "Definition"),
              h(Editor, {
                label: "definition",
                text: text.value,
                "onUpdate:text": (value) => (text.value = value),
                onChecked: (found) => (verdict.value = found),
              }),
            ]),
            h(Trial, { text: text.value, url: url.value, rules: rulesOf(verdict.value?.definition) }),
            h(Trouble, { error: refused.value }),
            h("p", { class: "actions" }, h(Act, { label: "Create and crawl", tone: "primary", run: create, why: why() })),
          ]
        : null,
    ];
  },
};

const plain = (url) => `start_urls = [${JSON.stringify(url)}]\nmax_pages = 1000\n`;

export const rulesOf = (definition) => (definition?.rules ?? []).map((each) => each.name).filter(Boolean);

// A host as a name may be written.
function nameOf(url) {
  try {
    return new URL(url).host.replace(/[^\p{L}\p{N}.-]/gu, "-").replace(/^[-.]+/, "");
  } catch {
    return "";
  }
}
