// Pages per second and latency over the last minutes, drawn by uPlot.

import { h, onBeforeUnmount, onMounted, ref, watch } from "./vendor/vue.js";
import { rate, span } from "./format.js";
import { theme } from "./session.js";

const KEPT_S = 600;
const histories = new Map(); // by resource; kept while the page is open

// Notes a measurement, and returns all that are kept: times, rates, latencies.
export function note(name, perSecond, latency) {
  const history = histories.get(name) ?? [[], [], []];
  histories.set(name, history);
  const now = Date.now() / 1000;
  const [times, rates, latencies] = history;
  times.push(now);
  rates.push(perSecond);
  latencies.push(latency || null);
  while (times[0] < now - KEPT_S) history.forEach((each) => each.shift());
  return history;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const hour = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");

// At least a minute, so that the first points stand where they belong.
function across({ data: [times] }) {
  const last = times.at(-1);
  return [Math.min(times[0], last - 60), last];
}

export const Chart = {
  props: ["history", "at"],
  setup(props) {
    const box = ref(null);
    let plot = null;

    function axis(scale, values, side, show = true) {
      return {
        scale,
        side,
        size: 58,
        show,
        stroke: colour("--muted"),
        font: "12px system-ui",
        grid: { stroke: colour("--line"), width: 1, show: side !== 1 },
        ticks: { show: false },
        values: (_, ticks) => ticks.map(values),
      };
    }

    function draw() {
      plot?.destroy();
      const times = { ...axis("x", hour, 2), size: 32, space: 80 };
      plot = new uPlot(
        {
          width: box.value.clientWidth,
          height: 220,
          legend: { show: false },
          cursor: { points: { size: 6 } },
          scales: {
            x: { range: across },
            rate: { range: (_, low, high) => [0, Math.max(1, high * 1.15)] },
            latency: { range: (_, low, high) => [0, Math.max(0.1, high * 1.15)] },
          },
          axes: [times, axis("rate", rate, 3), axis("latency", span, 1)],
          series: [
            {},
            { scale: "rate", stroke: colour("--accent"), width: 2, fill: colour("--tint") },
            { scale: "latency", stroke: colour("--wait"), width: 1.5, dash: [4, 4], spanGaps: true },
          ],
        },
        props.history,
        box.value,
      );
    }

    const observer = new ResizeObserver(() => {
      if (plot) plot.setSize({ width: box.value.clientWidth, height: 220 });
    });
    onMounted(() => {
      draw();
      observer.observe(box.value);
    });
    watch(() => props.at, () => plot?.setData(props.history));
    watch(theme, draw);
    onBeforeUnmount(() => {
      observer.disconnect();
      plot?.destroy();
    });

    return () => {
      const [, rates, latencies] = props.history;
      const told = `${rate(rates.at(-1))}, answers take ${span(latencies.at(-1))}`;
      return h("figure", { class: "chart" }, [
        h("figcaption", [
          h("span", { class: "key rate" }, `pages per second: ${rate(rates.at(-1))}`),
          h("span", { class: "key latency" }, `latency: ${span(latencies.at(-1))}`),
        ]),
        h("div", { ref: box, role: "img", "aria-label": told }),
      ]);
    };
  },
};
