// An address that leads nowhere.

import { h } from "./vendor/vue.js";
import { Heading } from "./parts.js";

export const Missing = () => [
  h(Heading, { title: "There is no such page" }),
  h("p", [h("a", { href: "#/" }, "Go to the overview"), "."]),
];
