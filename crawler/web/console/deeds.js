// What can be done with resources, and why not: the same for one and for many.

import { post, remove, resourcePath } from "./api.js";
import { confirm } from "./dialog.js";
import { plural } from "./format.js";
import { nudge } from "./live.js";
import { say } from "./notices.js";

const AT_ONCE = 5;
const OVER = new Set(["finished", "stopped", "error"]);
const GOING = new Set(["pending", "assigned", "running"]);

export const DEEDS = [
  { key: "pause", label: "Pause", done: "paused", why: ({ state }) => (GOING.has(state) ? "" : `It is ${state}: only what goes on is paused.`) },
  { key: "resume", label: "Resume", done: "resumed", why: ({ state }) => (state === "paused" ? "" : `It is ${state}, and not paused.`) },
  { key: "start", label: "Start", done: "started", title: "begin the next run", why: ({ state }) => (OVER.has(state) ? "" : `It is ${state}; the next run begins when this one is over.`) },
  { key: "stop", label: "Stop", done: "stopped", title: "end the run", why: ({ state }) => (GOING.has(state) || state === "paused" ? "" : `It is ${state} already.`) },
  { key: "retry", label: "Retry failed", done: "tried again", why: ({ progress }) => (progress?.failed ? "" : "No page of its latest run has failed.") },
  { key: "delete", label: "Delete", done: "deleted", tone: "danger", why: () => "" },
];

const QUESTIONS = {
  stop: { words: "The run ends; what was found is kept. The next run begins anew.", yes: "Stop" },
  delete: { words: "Pages, items and history go, too. This cannot be undone.", yes: "Delete" },
};

// Does it to each of these names, and tells how that went; false: people changed their mind.
export async function perform(deed, names) {
  const whom = names.length === 1 ? names[0] : plural(names.length, "resource");
  const question = QUESTIONS[deed.key];
  if (question && !(await confirm({ title: `${deed.label} ${whom}?`, ...question }))) return false;
  const failures = [];
  const waiting = names.values();
  let pages = 0;
  async function take() {
    for (const name of waiting) {
      try {
        pages += await once(deed.key, name);
      } catch (error) {
        failures.push(`${name}: ${error.message}`);
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, names.length) }, take));
  const done = names.length - failures.length;
  const what = names.length === 1 ? names[0] : plural(done, "resource");
  if (deed.key === "retry" && done) say(`${plural(pages, "page")} of ${what} ${pages === 1 ? "is" : "are"} tried again.`, "good");
  else if (done) say(`${what} ${names.length === 1 || done === 1 ? "is" : "are"} ${deed.done}.`, "good");
  if (failures.length) say(failures.slice(0, 3).join(" · ") + (failures.length > 3 ? ` · and ${failures.length - 3} more` : ""), "bad");
  nudge();
  return true;
}

async function once(key, name) {
  if (key === "retry") return retry(name, {});
  if (key === "delete") await remove(resourcePath(name));
  else await post(resourcePath(name, `/${key}`));
  return 0;
}

// Makes failed pages pending again, those that fit, and returns how many.
export async function retry(name, wanted) {
  let pages = 0;
  let after = 0;
  do {
    const answer = await post(resourcePath(name, "/retry"), { ...wanted, after });
    pages += answer.pages;
    after = answer.next;
  } while (after);
  return pages;
}
