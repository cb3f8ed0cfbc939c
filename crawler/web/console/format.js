// How figures and times are written for people.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const UNITS = ["B", "kB", "MB", "GB", "TB"];
const STEPS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export const count = (number) => (number == null ? "–" : NUMBER.format(number));

export function rate(perSecond) {
  if (perSecond == null) return "–";
  return `${perSecond.toFixed(perSecond < 10 ? 1 : 0)}/s`;
}

export function bytes(number) {
  let unit = 0;
  while (number >= 1000 && unit < UNITS.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${number.toFixed(unit && number < 10 ? 1 : 0)} ${UNITS[unit]}`;
}

// Seconds in the two largest units: 1 h 5 min.
export function span(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  if (seconds < 1) return seconds > 0 ? `${Math.round(seconds * 1000)} ms` : "0 s";
  const at = STEPS.findIndex(([, size]) => seconds >= size);
  const [unit, size] = STEPS[at];
  if (unit === "s") return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  const whole = Math.floor(seconds / size);
  const [below, step] = STEPS[at + 1];
  const rest = Math.floor((seconds % size) / step);
  return rest ? `${whole} ${unit} ${rest} ${below}` : `${whole} ${unit}`;
}

// A time, given in Unix seconds; today's by the hour.
export function moment(at) {
  if (!at) return "never";
  const date = new Date(at * 1000);
  const time = date.toLocaleTimeString("en-GB");
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.toLocaleDateString("en-CA")} ${time}`;
}

export function ago(at) {
  if (!at) return "never";
  const passed = Date.now() / 1000 - at;
  return passed < 2 ? "just now" : `${span(Math.round(passed))} ago`;
}

export function until(at) {
  const left = at - Date.now() / 1000;
  return left < 1 ? "now" : `in ${span(Math.round(left))}`;
}

// go.micro.server.worker-2: worker-2; also within a sentence
export const nodeName = (id) => id.replaceAll("go.micro.server.", "");

export function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

// An address as people write it, shop.example/lamps say, in full.
export function address(text) {
  const written = text.trim();
  return !written || /^[a-z][a-z0-9+.-]*:(?!\d)/i.test(written) ? written : `https://${written}`;
}

// A value of an item in one line.
export function value(given) {
  if (given == null) return "–";
  return typeof given === "object" ? JSON.stringify(given) : String(given);
}
