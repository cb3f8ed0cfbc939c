// The frame around all pages: where one is, where one can go, and whether a master answers.

import { createApp, h } from "./vendor/vue.js";
import { link } from "./api.js";
import { Confirmation } from "./dialog.js";
import { moment } from "./format.js";
import { Notices, say } from "./notices.js";
import { go, href, route } from "./router.js";
import { look, session, signOut, switchTheme, theme } from "./session.js";
import { Events } from "./events.js";
import { Missing } from "./missing.js";
import { NewResource } from "./new.js";
import { Nodes } from "./nodes.js";
import { Overview } from "./overview.js";
import { Resource } from "./resource.js";
import { Resources } from "./resources.js";
import { SignIn } from "./signin.js";
import { Tasks } from "./tasks.js";
import { Url } from "./url.js";

const SECTIONS = [
  ["overview", "Overview"],
  ["resources", "Resources"],
  ["nodes", "Nodes"],
  ["tasks", "Tasks"],
  ["events", "Events"],
];

function shown() {
  const [section = "overview", name, part] = route.value.steps;
  if (section === "overview") return h(Overview);
  if (section === "resources" && !name) return h(Resources);
  if (section === "resources" && part === "url") return h(Url, { name, key: `url ${name}` });
  if (section === "resources") return h(Resource, { name, key: name });
  if (section === "new") return h(NewResource);
  if (section === "nodes") return h(Nodes);
  if (section === "tasks") return h(Tasks, { key: name ?? "" });
  if (section === "events") return h(Events);
  return h(Missing);
}

async function leave() {
  try {
    await signOut();
  } catch (error) {
    say(error.message, "bad");
  }
}

function banner() {
  if (!link.lostAt) return null;
  return h("p", { class: "banner", role: "alert" }, [
    h("strong", "Waiting for a master. "),
    `${link.words}. What is shown is from ${moment(link.lostAt / 1000)}; this page goes on by itself.`,
  ]);
}

function who() {
  if (!session.closed || !session.name) return null;
  return h("div", { class: "who" }, [
    h("span", [session.name, session.role === "read" ? h("em", " (read only)") : null]),
    h("button", { type: "button", class: "plain", onClick: leave }, "Sign out"),
  ]);
}

const App = () => {
  if (!session.known) return h("main", { class: "lone" }, [banner(), h("p", { "aria-busy": "true" }, "one moment …")]);
  if (link.signedOut) return [h(SignIn), h(Notices)];
  const section = route.value.steps[0] ?? "overview";
  const here = section === "new" ? "resources" : section;
  const dark = theme.value === "dark";
  return [
    h("a", { class: "skip", href: "#main", onClick: skip }, "Skip to the page"),
    h("aside", { class: "frame" }, [
      h("a", { class: "brand", href: "#/" }, "crawler"),
      h(
        "nav",
        { "aria-label": "pages" },
        SECTIONS.map(([key, words]) =>
          h("a", { href: href(key === "overview" ? [] : [key]), "aria-current": here === key ? "page" : undefined }, words),
        ),
      ),
      h("div", { class: "end" }, [
        who(),
        h("a", { href: "/docs" }, "API"),
        h(
          "button",
          { type: "button", class: "plain theme", "aria-label": dark ? "use light colours" : "use dark colours", onClick: switchTheme },
          dark ? "☀" : "☾",
        ),
      ]),
    ]),
    h("main", { id: "main", tabindex: -1 }, [banner(), shown()]),
    h(Confirmation),
    h(Notices),
  ];
};

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

// Until a master says who is asking, there is nothing to show.
async function begin() {
  try {
    await look();
  } catch (error) {
    if (error.status !== 401) setTimeout(begin, 1000);
  }
}

if (location.hash === "") go([]);
createApp({ render: () => h(App) }).mount("#app");
begin();
