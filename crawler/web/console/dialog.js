// Asks before what cannot be undone. The browser's own dialog keeps the focus and gives it back.

import { h, nextTick, ref, shallowRef } from "./vendor/vue.js";

const asked = shallowRef(null);

// Resolves to whether people said yes.
export function confirm({ title, words, yes }) {
  return new Promise((answer) => {
    asked.value = { title, words, yes, answer };
  });
}

export const Confirmation = {
  setup() {
    const dialog = ref(null);
    function close(said) {
      asked.value?.answer(said);
      asked.value = null;
    }
    return () => {
      if (!asked.value) return null;
      nextTick(() => dialog.value?.open || dialog.value?.showModal());
      const { title, words, yes } = asked.value;
      return h(
        "dialog",
        { ref: dialog, "aria-labelledby": "asked", onClose: () => close(false) },
        h("article", [
          h("h2", { id: "asked" }, title),
          h("p", words),
          h("footer", [
            h(
              "button",
              { type: "button", autofocus: true, onClick: () => dialog.value.close() },
              "Cancel",
            ),
            h("button", { type: "button", class: "danger", onClick: () => close(true) }, yes),
          ]),
        ]),
      );
    };
  },
};
