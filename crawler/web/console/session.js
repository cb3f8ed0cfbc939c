// Who is looking, what they may do, and which colours they chose.

import { reactive, ref } from "./vendor/vue.js";
import { get, link, post, remove } from "./api.js";
import { hush, listen } from "./live.js";

export const session = reactive({ known: false, closed: false, name: "", role: "read" });

export async function look() {
  try {
    Object.assign(session, await get("/console/session"), { known: true });
    link.signedOut = false;
    listen();
  } catch (error) {
    if (error.status === 401) Object.assign(session, { known: true, closed: true, name: "" });
    throw error;
  }
}

export async function signIn(token) {
  Object.assign(session, await post("/console/session", { token }), { known: true });
  link.signedOut = false;
  listen();
}

export async function signOut() {
  await remove("/console/session");
  hush();
  session.name = "";
  link.signedOut = true;
}

// Why nothing may be changed; "" where it may be.
export function forbidden() {
  return session.role === "operate" ? "" : `The token of ${session.name} may only read.`;
}

export const theme = ref(document.documentElement.dataset.theme);

addEventListener("themechange", () => {
  theme.value = document.documentElement.dataset.theme;
});

export function switchTheme() {
  localStorage.setItem("theme", theme.value === "dark" ? "light" : "dark");
  dispatchEvent(new Event("themechosen"));
}
