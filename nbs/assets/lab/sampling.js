// Room one: a trained generator. Sixteen z move together through a plane of latent space.
import { afterEpoch, conditional } from "./generators.js";
import { button, choice, Digits, h, labelled, picture, words } from "./page.js";
import { direction, shownLatents } from "./random.js";

const EPOCHS = [0, 1, 2, 3, 5, 8, 12, 20], COUNT = 16, STEPS = 9, Z = 100;

// Back into [-1, 1], as from a mirror: uniform numbers stay uniform
const fold = (x) => Math.abs((((x - 1) % 4) + 4) % 4 - 2) - 1;

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

export async function samplingRoom(place) {
  const state = { seed: 0, across: 0, down: 0, epoch: EPOCHS.at(-1), digit: "any", ends: [0, 5], generators: new Map() };
  const digits = new Digits(COUNT, 4), between = new Digits(STEPS, STEPS);

  const load = (key, make) => {
    if (!state.generators.has(key)) state.generators.set(key, make());
    return state.generators.get(key);
  };
  const generator = async () => {
    if (state.digit === "any") return load(`epoch ${state.epoch}`, () => afterEpoch(state.epoch));
    const draw = await load("conditional", conditional);
    return (z) => draw(z, [Number(state.digit)]);
  };

  const latents = () => {
    const [right, up] = [0, 1].map((n) => direction(state.seed, n, Z));
    return shownLatents(state.seed, COUNT).map((z, i) => fold(z + state.across * right[i % Z] + state.down * up[i % Z]));
  };
  const row = (z) => {
    const [a, b] = state.ends.map((n) => z.subarray(n * Z, (n + 1) * Z)), all = new Float32Array(STEPS * Z), at = path(a, b);
    for (let s = 0; s < STEPS; s++) all.set(at(s / (STEPS - 1)), s * Z);
    return all;
  };

  let wanted = false, drawing = false;
  async function draw() {
    wanted = true;
    if (drawing) return;
    drawing = true;
    try {
      while (wanted) {
        wanted = false;
        const make = await generator(), z = latents();
        digits.draw(make(z));
        between.draw(make(row(z)));
        await new Promise(requestAnimationFrame);
      }
      note.replaceChildren();
    } catch (error) {
      note.replaceChildren(...words(`불러오지 못했습니다 (${error.message}). 새로 고쳐 보세요.`, `Could not be loaded (${error.message}). Try to reload.`));
    } finally {
      drawing = false;
    }
  }
  const set = (changes) => {
    Object.assign(state, changes);
    draw();
  };

  const slider = (min, max, step, value, oninput) => {
    const range = h("input", { type: "range", min, max, step });
    range.value = value;
    range.addEventListener("input", () => oninput(Number(range.value)));
    return range;
  };
  const across = slider(-1, 1, 0.01, 0, (value) => set({ across: value }));
  const down = slider(-1, 1, 0.01, 0, (value) => set({ down: value }));
  const shownEpoch = h("output", {}, String(state.epoch));
  const epoch = slider(0, EPOCHS.length - 1, 1, EPOCHS.length - 1, (index) => {
    epoch.setAttribute("aria-valuetext", EPOCHS[index]);
    shownEpoch.textContent = EPOCHS[index];
    set({ epoch: EPOCHS[index] });
  });
  epoch.setAttribute("aria-valuetext", state.epoch);

  digits.canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const { clientWidth, clientHeight } = digits.canvas;
    across.value = (2 * offsetX) / clientWidth - 1;
    down.value = (2 * offsetY) / clientHeight - 1;
    set({ across: Number(across.value), down: Number(down.value) });
  });
  const numbers = Array.from({ length: COUNT }, (_, i) => [i, i + 1]);
  const ends = [0, 1].map((which) => choice(numbers, state.ends[which], (value) =>
    set({ ends: state.ends.map((end, i) => (i === which ? Number(value) : end)) })));
  digits.canvas.addEventListener("click", (event) => {
    const picked = [state.ends[1], digits.at(event)];
    picked.forEach((value, i) => (ends[i].value = value));
    set({ ends: picked });
  });

  const which = ["any", ..."0123456789"].map((digit) => {
    const radio = h("input", { type: "radio", name: "lab-digit", value: digit, checked: digit === "any" });
    radio.addEventListener("change", () => {
      epoch.disabled = digit !== "any";
      set({ digit });
    });
    return h("label", { className: "lab-digit" }, radio, h("span", {}, digit === "any" ? words("아무거나", "any") : digit));
  });
  const note = h("p", { role: "status", className: "lab-note" });

  place.replaceChildren(
    h("div", { className: "lab-room" },
      picture(digits.canvas, "digits", ["같은 생성기가 z 열여섯 개에서 그린 숫자", "Sixteen digits that one generator drew from sixteen z"]),
      h("div", { className: "lab-controls" },
        h("p", {}, words("그림 위에서 마우스나 손가락을 움직여 보세요. z 열여섯 개가 같은 방향으로 함께 움직입니다.",
          "Move the mouse or a finger over the picture: all sixteen z move in the same direction.")),
        labelled(words("z를 가로로", "z across"), across),
        labelled(words("z를 세로로", "z down"), down),
        labelled(words("학습한 에폭", "epochs of training"), epoch, shownEpoch),
        h("fieldset", {}, h("legend", {}, words("어떤 숫자를 그릴까요", "Which digit to draw")), h("div", { className: "lab-row" }, which)),
        button(words("다른 z", "Other z"), () => set({ seed: state.seed + 1 })),
        note)),
    h("div", { className: "lab-row" },
      labelled(words("몇 번째 숫자에서", "from number"), ends[0]), labelled(words("몇 번째 숫자까지", "to number"), ends[1])),
    picture(between.canvas, "between", ["두 숫자 사이의 길. 숫자 두 개를 차례로 눌러도 양 끝을 고를 수 있습니다", "The way between two digits; pressing one digit, then another, chooses the ends too"]),
  );
  await draw();
}
