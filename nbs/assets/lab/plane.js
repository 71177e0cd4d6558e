// Sixteen z of a trained generator that move together through a plane of latent space.
import { afterEpoch } from "./generators.js";
import { button, Digits, h, labelled, picture, still, toLab, words } from "./page.js";
import { direction, shownLatents } from "./random.js";

export const COUNT = 16, Z = 100;
const ROUND = 8000; // milliseconds

// Back into [-1, 1], as from a mirror: uniform numbers stay uniform
const fold = (x) => Math.abs((((x - 1) % 4) + 4) % 4 - 2) - 1;

export function slider(min, max, step, value, oninput) {
  const range = h("input", { type: "range", min, max, step });
  range.value = value;
  range.addEventListener("input", () => oninput(Number(range.value)));
  return range;
}

const SIXTEEN = {
  name: "digits",
  caption: ["같은 생성기가 z 16개로 그린 숫자", "Sixteen digits that one generator drew from sixteen z"],
  hint: ["그림 위에서 마우스나 손가락을 움직여 보세요. z 16개가 같은 방향으로 함께 움직입니다.",
    "Move the mouse or a finger over the picture: all sixteen z move in the same direction."],
};

// The digits, and what moves them. `paint` draws z [16, 100] with `digits.draw`, and `moving` says that more is to come.
export function plane(paint, { digits = new Digits(COUNT, 4), name, caption, hint } = SIXTEEN) {
  const state = { seed: 0, across: 0, down: 0, begun: null };
  const note = h("p", { role: "status", className: "lab-note" });
  digits.canvas.classList.add("lab-plane");

  function latents() {
    const [right, up] = [0, 1].map((n) => direction(state.seed, n, Z));
    return shownLatents(state.seed, COUNT).map((z, i) => fold(z + state.across * right[i % Z] + state.down * up[i % Z]));
  }

  let wanted = false, drawing = false;
  async function draw() {
    wanted = true;
    if (drawing) return;
    drawing = true;
    try {
      while (wanted) {
        wanted = false;
        await paint(latents(), { digits, moving: state.begun !== null });
        await new Promise(requestAnimationFrame);
      }
      note.replaceChildren();
    } catch (error) {
      note.replaceChildren(...words(`불러오지 못했습니다 (${error.message}). 새로 고쳐 보세요.`, `Could not be loaded (${error.message}). Try to reload.`));
    } finally {
      drawing = false;
    }
  }

  function move(across, down) {
    Object.assign(state, { across, down });
    sliders.forEach((range, i) => (range.value = [across, down][i]));
    draw();
  }

  // Once round the plane, from its middle back to its middle
  function go(begun) {
    state.begun = begun;
    round.setAttribute("aria-pressed", begun !== null);
    round.replaceChildren(...(begun === null ? words("한 바퀴 움직이기", "Once round") : words("멈춤", "Stop")));
    if (begun !== null) requestAnimationFrame(turn);
    else draw();
  }
  function turn(now) {
    if (state.begun === null) return;
    const part = Math.max(0, now - state.begun) / ROUND, angle = 2 * Math.PI * part;
    if (part >= 1) return go(null);
    move(0.7 * Math.sin(angle), 0.35 * (1 - Math.cos(angle)));
    requestAnimationFrame(turn);
  }
  const byHand = (across, down) => {
    if (state.begun !== null) go(null);
    move(across, down);
  };

  const round = button("", () => go(state.begun === null ? performance.now() : null));
  const sliders = [slider(-1, 1, 0.01, 0, (value) => byHand(value, state.down)), slider(-1, 1, 0.01, 0, (value) => byHand(state.across, value))];
  digits.canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const { clientWidth, clientHeight } = digits.canvas;
    byHand((2 * offsetX) / clientWidth - 1, (2 * offsetY) / clientHeight - 1);
  });
  const other = button(words("다른 z", "Other z"), () => {
    state.seed++;
    draw();
  });

  document.addEventListener("training", () => state.begun !== null && go(null)); // which needs the processor
  go(null);
  if (!still.matches) go(performance.now());
  return {
    draw,
    digits,
    figure: picture(digits.canvas, name, caption),
    moving: [
      h("p", {}, words(...hint)),
      h("div", { className: "lab-row" }, round, other),
      labelled(words("z를 가로로", "z across"), sliders[0]),
      labelled(words("z를 세로로", "z down"), sliders[1]),
    ],
    note,
  };
}

// By itself, in a chapter: the generator of 20 epochs
export default function (place) {
  const generator = afterEpoch(20);
  const { figure, moving, note } = plane(async (z, { digits }) => digits.draw((await generator)(z)));
  place.replaceChildren(h("div", { className: "lab-room" }, figure, h("div", { className: "lab-controls" }, moving, note,
    h("p", {}, words("steady 레시피로 20에폭 학습한 생성기입니다. ", "A generator of the recipe “steady” after 20 epochs. "),
      toLab("lab-sampling")))));
}
