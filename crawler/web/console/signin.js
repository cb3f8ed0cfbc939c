// Asks for the token of the API, where callers are asked who they are.

import { h, ref } from "./vendor/vue.js";
import { Field, Heading, Trouble } from "./parts.js";
import { signIn } from "./session.js";

export const SignIn = {
  setup() {
    const token = ref("");
    const error = ref(null);
    const busy = ref(false);

    async function submit(event) {
      event.preventDefault();
      busy.value = true;
      error.value = null;
      try {
        await signIn(token.value);
      } catch (failure) {
        error.value = failure;
      }
      busy.value = false;
    }

    return () =>
      h("main", { class: "lone", id: "main" }, [
        h("article", { class: "card" }, [
          h(Heading, { title: "Sign in" }),
          h("p", { class: "muted" }, ["This cluster asks who is calling. Use a token of the API: ", h("code", "crawler token NAME"), " makes one."]),
          h("form", { onSubmit: submit }, [
            h(Field, { label: "Token" }, () =>
              h("input", {
                type: "password",
                name: "token",
                required: true,
                autocomplete: "current-password",
                placeholder: "crw_…",
                value: token.value,
                "aria-invalid": error.value ? "true" : undefined,
                onInput: (event) => (token.value = event.target.value),
              }),
            ),
            h(Trouble, { error: error.value }),
            h("button", { type: "submit", class: "primary", "aria-busy": busy.value ? "true" : undefined }, "Sign in"),
          ]),
        ]),
      ]);
  },
};
