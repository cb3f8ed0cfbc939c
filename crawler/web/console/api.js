// Calls to the API, which answer or throw an ApiError with the API's own sentence.

import { reactive } from "./vendor/vue.js";

const READ_MS = 5000;
const WRITE_MS = 20000;
export const LOOK_MS = 70000; // a worker fetches a page meanwhile

export class ApiError extends Error {
  // status 0: no answer came, and whether a change has happened is not known.
  constructor(message, status, help = "") {
    super(message);
    this.status = status;
    this.help = help; // what to do about it
  }

  get away() {
    return this.status === 0 || this.status >= 502;
  }
}

// Whether masters answer: since when they do not (0: they do), and what the last one said.
export const link = reactive({ lostAt: 0, words: "", signedOut: false });

export const get = (path, query) => call("GET", path + search(query), undefined, READ_MS);
export const post = (path, body = {}, ms = WRITE_MS) => call("POST", path, body, ms);
export const put = (path, body) => call("PUT", path, body, WRITE_MS);
export const remove = (path) => call("DELETE", path, {}, WRITE_MS);

export const resourcePath = (name, rest = "") =>
  `/crawler/resource/${encodeURIComponent(name)}${rest}`;

export function search(query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

async function call(method, path, body, ms) {
  const asked = { method, signal: AbortSignal.timeout(ms), credentials: "same-origin" };
  if (body !== undefined) {
    asked.body = JSON.stringify(body);
    asked.headers = { "Content-Type": "application/json" };
  }
  let response;
  let text;
  try {
    response = await fetch(path, asked);
    text = await response.text();
  } catch {
    lost("no master answers at this address");
    throw new ApiError("No master answered; nobody knows whether that was done.", 0);
  }
  const answer = parsed(text);
  if (response.ok && answer !== undefined) {
    link.lostAt = 0;
    return answer;
  }
  const sentence = answer?.message ?? `the answer was HTTP ${response.status}`;
  const help = response.status === 429 || response.status >= 500 ? helpOf(answer) : "";
  const error = new ApiError(sentence, response.status, help);
  if (response.status === 401) link.signedOut = true;
  if (error.away) lost(sentence);
  else link.lostAt = 0;
  throw error;
}

function lost(words) {
  link.lostAt ||= Date.now();
  link.words = words;
}

function parsed(text) {
  try {
    return JSON.parse(text || "{}");
  } catch {
    return undefined; // a proxy's own page, say
  }
}

function helpOf(answer) {
  return answer?.details?.find(({ links }) => links)?.links[0]?.description ?? "";
}
