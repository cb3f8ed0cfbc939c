// A definition, which is kept as JSON, as the TOML that people write.

const BARE = /^[A-Za-z0-9_-]+$/;
const WIDE = 88;

export function toToml(definition) {
  const lines = [];
  const { rules = [], ...rest } = definition;
  const pairs = Object.entries(rest);
  const tables = pairs.filter(([, each]) => isTables(each) || isTable(each));
  const plain = pairs.filter((pair) => !tables.includes(pair));
  for (const [key, each] of plain) lines.push(`${name(key)} = ${value(each)}`);
  for (const [key, each] of tables) {
    for (const table of isTables(each) ? each : [each]) {
      lines.push("", isTables(each) ? `[[${name(key)}]]` : `[${name(key)}]`);
      for (const [inner, one] of Object.entries(table)) {
        lines.push(`${name(inner)} = ${value(one)}`);
      }
    }
  }
  for (const rule of rules) lines.push("", "[[rules]]", ...ofRule(rule));
  return `${lines.join("\n").trim()}\n`;
}

// The name first, then where it holds, then what it follows and yields.
function ofRule(rule) {
  const order = ["name", "match", "kind", "each", "next", "follow"];
  const keys = Object.keys(rule).sort((a, b) => place(order, a) - place(order, b));
  return keys.flatMap((key) =>
    key === "item"
      ? Object.entries(rule.item).map(([field, one]) => `item.${name(field)} = ${selector(one)}`)
      : [`${name(key)} = ${key === "next" || key === "each" ? selector(rule[key]) : value(rule[key])}`],
  );
}

const place = (order, key) => (order.indexOf(key) + 1 || order.length + 1 + (key === "item"));

// A selector that is no more than CSS is a text.
function selector(given) {
  const bare = isTable(given) && Object.keys(given).join() === "css";
  return value(bare ? given.css : given);
}

function value(given) {
  if (Array.isArray(given)) return list(given.map(value));
  if (isTable(given)) {
    const pairs = Object.entries(given).map(([key, each]) => `${name(key)} = ${value(each)}`);
    return pairs.length ? `{ ${pairs.join(", ")} }` : "{}";
  }
  return typeof given === "string" ? text(given) : String(given);
}

function list(parts) {
  const line = `[${parts.join(", ")}]`;
  return line.length <= WIDE ? line : `[\n${parts.map((each) => `    ${each},\n`).join("")}]`;
}

const name = (key) => (BARE.test(key) ? key : text(key));

// What JSON escapes, TOML escapes alike; but for the one character below.
const text = (given) => JSON.stringify(given).replaceAll("\u007f", "\\u007f");

const isTable = (given) => given !== null && typeof given === "object" && !Array.isArray(given);

const isTables = (given) => Array.isArray(given) && given.length > 0 && given.every(isTable);
