// How fast counters rise, told by looking at them again and again.

const SPAN_S = 20;

export class Speeds {
  constructor() {
    this.marks = new Map();
  }

  // Notes a counter, and returns by how much a second it rises; null: not known yet.
  of(key, total) {
    const now = performance.now() / 1000;
    const marks = this.marks.get(key) ?? [];
    this.marks.set(key, marks);
    if (marks.length && marks.at(-1)[1] > total) marks.length = 0; // another run
    if (!marks.length || marks.at(-1)[0] < now - 0.5) marks.push([now, total]);
    while (marks.length > 2 && marks[1][0] < now - SPAN_S) marks.shift();
    const [since, before] = marks[0];
    return now - since < 1 ? null : (total - before) / (now - since);
  }
}

// Seconds until nothing is pending, if it goes on like this; null: nobody knows.
export function timeLeft(pending, perSecond) {
  return pending && perSecond ? pending / perSecond : null;
}
