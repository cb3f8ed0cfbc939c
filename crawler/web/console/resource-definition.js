// The definition of a resource: written, checked, tried, stored.

import { computed, h, ref, watch } from "./vendor/vue.js";
import { put, resourcePath } from "./api.js";
import { Editor, Trial } from "./editor.js";
import { nudge } from "./live.js";
import { rulesOf } from "./new.js";
import { say } from "./notices.js";
import { Act, Trouble } from "./parts.js";
import { route } from "./router.js";
import { toToml } from "./toml.js";

const EMPTY = 'start_urls = ["https://"]\n';

export const Definition = {
  props: ["resource"],
  setup(props) {
    const { name } = props.resource;
    const written = (definition) => (definition ? toToml(definition) : EMPTY);
    const begun = ref(written(props.resource.definition));
    const text = ref(begun.value);
    const verdict = ref(null);
    const error = ref(null);
    const theirs = ref(false); // somebody else has changed what is edited here
    const changed = computed(() => text.value !== begun.value);
    let ours = ""; // what was stored from here last, or is on its way

    async function save() {
      error.value = null;
      const { definition } = verdict.value;
      ours = written(definition); // it may be seen before the answer is
      try {
        const answer = await put(resourcePath(name), definition);
        say(answer.changed ? `The definition of ${name} is changed.` : "It was so already.", "good");
        begun.value = text.value;
        theirs.value = false;
        nudge();
      } catch (failure) {
        error.value = failure;
      }
    }

    function take() {
      begun.value = text.value = written(props.resource.definition);
      theirs.value = false;
    }

    watch(() => props.resource.definition_revision, () => {
      if (written(props.resource.definition) === ours) return;
      ours = "";
      if (changed.value) theirs.value = true;
      else take();
    });

    function why() {
      if (!changed.value) return "Nothing is changed.";
      if (!verdict.value) return "The definition is being checked.";
      return verdict.value.ok ? "" : "The definition is not right yet.";
    }

    return () => [
      theirs.value
        ? h("p", { class: "trouble" }, [
            "Somebody has changed it meanwhile. ",
            h("button", { type: "button", class: "plain", onClick: take }, "Take theirs"),
          ])
        : null,
      h(Editor, {
        label: `definition of ${name}`,
        text: text.value,
        "onUpdate:text": (value) => (text.value = value),
        onChecked: (found) => (verdict.value = found),
      }),
      h(Trouble, { error: error.value }),
      h("p", { class: "actions" }, [
        h(Act, { label: "Save", tone: "primary", run: save, why: why() }),
        changed.value ? h("button", { type: "button", onClick: take }, "Undo all") : null,
      ]),
      h(Trial, { text: text.value, url: route.value.query.try, rules: rulesOf(verdict.value?.definition) }),
    ];
  },
};
