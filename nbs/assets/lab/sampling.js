// Room one: a trained generator, told the digits or not, and the way between two of its z.
import { afterEpoch, conditional } from "./generators.js";
import { choice, Digits, h, labelled, picture, words } from "./page.js";
import { COUNT, plane, slider, Z } from "./plane.js";

const EPOCHS = [0, 1, 2, 3, 5, 8, 12, 20], STEPS = 9;

// From a to b through latents that are as likely as the ends: along a circle between normal numbers (chapter "Sampling")
// Returns z as a function of t in [0, 1].
export function path(a, b) {
  const [x, y] = [a, b].map((v) => v.map(normal)), length = (v) => Math.hypot(...v);
  const cosine = x.reduce((sum, v, i) => sum + v * y[i], 0) / (length(x) * length(y)), angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-6) return () => a.slice();
  return (t) => x.map((v, i) => uniform((v * Math.sin((1 - t) * angle) + y[i] * Math.sin(t * angle)) / Math.sin(angle)));
}

// The distribution function of the normal, by Zelen and Severo (Abramowitz and Stegun 1964, 26.2.17), and its inverse
const uniform = (x) => {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const tail = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI) *
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (x < 0 ? -1 : 1) * (1 - 2 * tail);
};
function normal(u) {
  let low = -6, high = 6;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (uniform(middle) < u) low = middle; else high = middle;
  }
  return (low + high) / 2;
}

export default function (place) {
  const state = { which: "each", epoch: EPOCHS.at(-1), ends: [0, 5], generators: new Map() };
  const between = new Digits(STEPS, STEPS);

  const load = (key, make) => {
    if (!state.generators.has(key)) state.generators.set(key, make());
    return state.generators.get(key);
  };
  const generator = () => state.which === "untold" ? load(state.epoch, () => afterEpoch(state.epoch)) : load("told", conditional);
  const digit = (i) => state.which === "each" ? i % 10 : Number(state.which);

  // What the generator is told with each z: ten numbers, 1 at the digit; on the way between two, a mixture
  const labels = (count, parts) => {
    const all = new Float32Array(10 * count);
    for (let i = 0; i < count; i++) for (const [part, of] of parts(i)) all[10 * i + of] += part;
    return all;
  };
  const each = labels.bind(null, COUNT, (i) => [[1, digit(i)]]);
  const mixed = labels.bind(null, STEPS, (s) => state.ends.map((end, i) => [i ? s / (STEPS - 1) : 1 - s / (STEPS - 1), digit(end)]));
  const way = (z) => {
    const [a, b] = state.ends.map((n) => z.subarray(n * Z, (n + 1) * Z)), all = new Float32Array(STEPS * Z), at = path(a, b);
    for (let s = 0; s < STEPS; s++) all.set(at(s / (STEPS - 1)), s * Z);
    return all;
  };

  const { draw, digits, figure, moving, note } = plane(async (z, { digits, moving }) => {
    const make = await generator();
    digits.draw(make(z, each()));
    if (!moving) between.draw(make(way(z), mixed()));
  });
  const set = (changes) => {
    Object.assign(state, changes);
    draw();
  };

  const shownEpoch = h("span", {}, String(state.epoch));
  const epoch = slider(0, EPOCHS.length - 1, 1, EPOCHS.length - 1, (index) => {
    epoch.setAttribute("aria-valuetext", EPOCHS[index]);
    shownEpoch.textContent = EPOCHS[index];
    set({ epoch: EPOCHS[index] });
  });
  epoch.setAttribute("aria-valuetext", state.epoch);
  epoch.disabled = true;

  const numbers = Array.from({ length: COUNT }, (_, i) => [i, i + 1]);
  const ends = [0, 1].map((which) => choice(numbers, state.ends[which], (value) =>
    set({ ends: state.ends.map((end, i) => (i === which ? Number(value) : end)) })));
  digits.canvas.addEventListener("click", (event) => {
    const picked = [state.ends[1], digits.at(event)];
    picked.forEach((value, i) => (ends[i].value = value));
    set({ ends: picked });
  });

  const named = { each: words("차례로", "in turn"), untold: words("시키지 않기", "not told") };
  const which = ["each", ..."0123456789", "untold"].map((value) => {
    const radio = h("input", { type: "radio", name: "lab-digit", value, checked: value === state.which });
    radio.addEventListener("change", () => {
      epoch.disabled = value !== "untold";
      set({ which: value });
    });
    return h("label", { className: "lab-digit" }, radio, h("span", {}, named[value] ?? value));
  });

  place.replaceChildren(
    h("div", { className: "lab-room" }, figure, h("div", { className: "lab-controls" }, moving,
      h("fieldset", {}, h("legend", {}, words("어떤 숫자를 시킬까요", "Which digit to ask for")), h("div", { className: "lab-row" }, which),
        labelled([...words("시키지 않는 생성기가 학습한 에폭", "epochs of the generator that is not told"), " ", shownEpoch], epoch)),
      note)),
    h("div", { className: "lab-row" },
      labelled(words("몇 번째 숫자에서", "from number"), ends[0]), labelled(words("몇 번째 숫자까지", "to number"), ends[1])),
    picture(between.canvas, "between", ["두 숫자 사이의 길. 숫자 두 개를 차례로 눌러도 양 끝을 고를 수 있습니다", "The way between two digits; pressing one digit, then another, chooses the ends too"]),
  );
}
