// Which page is shown: the part of the address behind #, as a path and a query.

import { shallowRef } from "./vendor/vue.js";

export const route = shallowRef(read());

addEventListener("hashchange", () => {
  route.value = read();
});

function read() {
  const [path, query] = location.hash.slice(1).split("?");
  const steps = path.split("/").filter(Boolean).map(decoded);
  return { steps, query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(step) {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

// The address of a page; what is empty is left out of the query.
export function href(steps, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const told = new URLSearchParams(given).toString();
  return `#/${steps.map(encodeURIComponent).join("/")}${told && `?${told}`}`;
}

export function go(steps, query) {
  location.hash = href(steps, query);
}

// Changes the query in place: filters are kept by the address, and make no history of their own.
export function refine(query) {
  const { steps, query: before } = route.value;
  history.replaceState(null, "", href(steps, { ...before, ...query }));
  route.value = read();
}
