// A list without end: fetched in chunks as it is scrolled, of which only what is seen is in the page.

import { computed, h, nextTick, onBeforeUnmount, onMounted, ref, shallowRef, watch } from "./vendor/vue.js";
import { Trouble } from "./parts.js";
import { useLive } from "./live.js";

const BEYOND = 8; // rows drawn above and below what is seen

// `load(cursor)` returns { rows, next }; `about` is what is listed, and another begins anew. Columns:
// key, name, cell(row). `picked` is a Set of keys where rows can be selected. The chunks that are
// seen are fetched again and again.
export const LongTable = {
  props: ["columns", "load", "keyOf", "about", "picked", "empty", "label", "live"],
  emits: ["pick", "loaded"],
  setup(props, { emit }) {
    const chunks = shallowRef([]);
    const next = ref("");
    const box = ref(null);
    const top = ref(0);
    const height = ref(600);
    const rowHeight = ref(52);
    const rows = computed(() => chunks.value.flatMap((each) => each.rows));
    const first = computed(() => Math.max(0, Math.floor(top.value / rowHeight.value) - BEYOND));
    const last = computed(
      () => Math.ceil((top.value + height.value) / rowHeight.value) + BEYOND,
    );

    // The chunks that are seen, each with the cursor that it was fetched by.
    function seen() {
      let at = 0;
      return chunks.value.filter(({ rows: { length } }) => {
        const shown = at <= last.value && at + length >= first.value;
        at += length;
        return shown;
      });
    }

    const state = useLive(
      async () => {
        const shown = chunks.value.length ? seen() : [{ cursor: "" }];
        const answers = await Promise.all(shown.map(({ cursor }) => props.load(cursor)));
        return shown.map(({ cursor }, at) => ({ cursor, ...answers[at] }));
      },
      { about: () => props.about, period: props.live ?? 2000 },
    );

    watch(() => props.about, () => {
      chunks.value = [];
      next.value = "";
      if (box.value) box.value.scrollTop = 0;
    });

    watch(() => state.data, (fresh) => {
      if (!fresh) return;
      const by = new Map(fresh.map((each) => [each.cursor, each]));
      chunks.value = chunks.value.length
        ? chunks.value.map((each) => by.get(each.cursor) ?? each)
        : fresh;
      next.value = chunks.value.at(-1).next;
      emit("loaded", fresh[0], rows.value, Boolean(next.value));
      nextTick(measure);
      more();
    });

    let fetching = false;
    async function more() {
      if (fetching || !next.value || last.value < rows.value.length) return;
      fetching = true;
      const { about } = props;
      const cursor = next.value;
      try {
        const answer = await props.load(cursor);
        if (about === props.about) {
          chunks.value = [...chunks.value, { cursor, ...answer }];
          next.value = answer.next;
          emit("loaded", answer, rows.value, Boolean(next.value));
        }
      } catch (error) {
        state.error = error;
        return;
      } finally {
        fetching = false;
      }
      more(); // a search may find nothing in a chunk, and go on
    }

    function measure() {
      if (!box.value) return;
      height.value = box.value.clientHeight;
      const row = box.value.querySelector("[role=row].entry");
      if (row) rowHeight.value = row.getBoundingClientRect().height || rowHeight.value;
    }

    function scrolled() {
      top.value = box.value.scrollTop;
      more();
    }

    const observer = new ResizeObserver(measure);
    onMounted(() => observer.observe(box.value));
    onBeforeUnmount(() => observer.disconnect());

    function pick(key, on) {
      const picked = new Set(props.picked);
      if (on) picked.add(key);
      else picked.delete(key);
      emit("pick", picked);
    }

    const checkbox = (checked, label, onChange) =>
      h("span", { role: "cell", class: "check" }, [
        h("input", { type: "checkbox", checked, "aria-label": label, onChange }),
      ]);

    const entry = (row) => {
      const key = props.keyOf(row);
      return h("div", { role: "row", class: "entry", key }, [
        props.picked
          ? checkbox(props.picked.has(key), `select ${key}`, (e) => pick(key, e.target.checked))
          : null,
        props.columns.map((each) =>
          h("div", { role: "cell", class: each.key }, each.cell(row)),
        ),
      ]);
    };

    return () => {
      const shown = rows.value.slice(first.value, last.value);
      const below = Math.max(0, rows.value.length - last.value);
      return h("div", { class: "long" }, [
        h(Trouble, { error: state.error }),
        h(
          "div",
          { ref: box, class: "box", tabindex: 0, role: "table", "aria-label": props.label, "aria-rowcount": next.value ? -1 : rows.value.length, onScrollPassive: scrolled },
          [
            h("div", { role: "row", class: "names" }, [
              props.picked ? h("span", { role: "columnheader", class: "check" }) : null,
              props.columns.map((each) =>
                h("span", { role: "columnheader", class: each.key }, each.name),
              ),
            ]),
            h("div", { style: { height: `${first.value * rowHeight.value}px` } }),
            shown.map(entry),
            h("div", { style: { height: `${below * rowHeight.value}px` } }),
            state.data && !rows.value.length && !next.value
              ? h("p", { class: "empty" }, props.empty)
              : null,
            next.value ? h("p", { class: "empty", "aria-busy": "true" }, "more …") : null,
          ],
        ),
      ]);
    };
  },
};
