// Keeps what is shown up to date: fetched again while the page is visible, sooner after a change.

import { onBeforeUnmount, shallowReactive, watch } from "./vendor/vue.js";

const PERIOD_MS = 2000;
const AT_MOST_MS = 1000; // between two fetches that news ask for
const AGAIN_MS = 5000;
const NEWS = [
  "reset",
  "resource_changed",
  "resource_deleted",
  "task_finished",
  "node_joined",
  "node_lost",
  "leader_changed",
];
const waiting = new Set();

// Whatever is shown may have changed.
export function nudge() {
  for (const wake of waiting) wake();
}

// What the cluster tells as it happens. A browser connects again by itself, but for refusals.
let source = null;
let listening = false;

export function listen() {
  listening = true;
  if (source || document.hidden) return;
  source = new EventSource("/crawler/events");
  for (const kind of NEWS) source.addEventListener(kind, nudge);
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return;
    close();
    setTimeout(() => listening && listen(), AGAIN_MS);
  });
}

export function hush() {
  listening = false;
  close();
}

function close() {
  source?.close();
  source = null;
}

addEventListener("visibilitychange", () => {
  if (document.hidden) return close();
  nudge();
  if (listening) listen();
});

// `load` is called again and again until the component goes: what it returned stands in `data`, what
// it threw in `error`, and then `data` is of before. `about` returns what is loaded; when that
// changes, what was of something else is dropped.
export function useLive(load, { about = () => "", period = PERIOD_MS } = {}) {
  const state = shallowReactive({ data: null, error: null, at: 0, refresh });
  let gone = false;
  let running = false;
  let again = false;
  let began = 0;
  let timer = 0;

  async function run() {
    clearTimeout(timer);
    if (gone) return;
    if (running) {
      again = true;
      return;
    }
    running = true;
    again = false;
    began = Date.now();
    const subject = about();
    try {
      const data = await load();
      if (subject === about()) Object.assign(state, { data, error: null, at: Date.now() });
    } catch (error) {
      if (subject === about()) state.error = error;
    }
    running = false;
    if (gone) return;
    if (again) run();
    else if (!document.hidden) timer = setTimeout(run, period);
  }

  function wake() {
    clearTimeout(timer);
    timer = setTimeout(run, Math.max(0, began + AT_MOST_MS - Date.now()));
  }

  function refresh() {
    return run();
  }

  watch(about, () => {
    Object.assign(state, { data: null, error: null });
    run();
  });
  waiting.add(wake);
  onBeforeUnmount(() => {
    gone = true;
    clearTimeout(timer);
    waiting.delete(wake);
  });
  run();
  return state;
}
