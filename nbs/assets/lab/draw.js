// What the visitor draws, as MNIST has its digits: in a box of 20 by 20 pixels, its centre of mass in the middle of 28 by 28.
import { button, choice, Digits, h, inEither, inLanguage, labelled, words } from "./page.js";
import { jitter } from "./random.js";

const SIDE = 28, BOX = 20, WIDE = 280, PEN = 22, THIN = 2.2; // pixels: of an image, of the canvas and its pen, of the pen in an image
const LEAST = 16, MANY = 2000, KEPT = "lab-drawings"; // drawings without digits; images made of drawings; where they are kept
const SHIFT = 1.5, TURN = 0.15, GROW = 0.08; // how far they are varied at most: pixels, radians, a share
const STEP = 10, ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

function paint(context, strokes, thickness, scale = 1, [left, top] = [0, 0]) {
  const { width, height } = context.canvas;
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  Object.assign(context, { strokeStyle: "#fff", lineWidth: thickness, lineCap: "round", lineJoin: "round" });
  for (const [first, ...others] of strokes) {
    const at = ([x, y]) => [(x - left) * scale, (y - top) * scale];
    context.beginPath();
    context.moveTo(...at(first));
    for (const point of [first, ...others]) context.lineTo(...at(point));
    context.stroke();
  }
}

// Strokes, each a list of [x, y], to bytes [784]
export function normalized(strokes) {
  const ends = [0, 1].map((axis) => [Math.min, Math.max].map((end) => end(...strokes.flat().map((point) => point[axis]))));
  const scale = (BOX - THIN) / Math.max(WIDE / 10, ...ends.map(([low, high]) => high - low)), half = SIDE / 2 / scale;
  const context = h("canvas", { width: SIDE, height: SIDE }).getContext("2d", { willReadFrequently: true });
  const around = (middle) => {
    paint(context, strokes, THIN, scale, middle.map((m) => m - half));
    return context.getImageData(0, 0, SIDE, SIDE).data.filter((_, i) => i % 4 === 0);
  };
  const middle = ends.map(([low, high]) => (low + high) / 2), image = around(middle), sum = image.reduce((all, v) => all + v, 0);
  const mass = [(i) => i % SIDE, (i) => Math.floor(i / SIDE)].map((axis) => image.reduce((all, v, i) => all + v * (axis(i) + 0.5), 0) / sum);
  return around(middle.map((m, axis) => m + (mass[axis] - SIDE / 2) / scale));
}

// Shifted, turned and stretched a little: bytes [784] to numbers in [-1, 1]
function varied(image, [across, down, turn, grow]) {
  const center = (SIDE - 1) / 2, stretch = 1 + GROW * grow, cosine = Math.cos(TURN * turn) / stretch, sine = Math.sin(TURN * turn) / stretch;
  const at = (x, y) => (x < 0 || y < 0 || x >= SIDE || y >= SIDE ? 0 : image[y * SIDE + x]);
  return Float32Array.from(image, (_, i) => {
    const u = (i % SIDE) - center - SHIFT * across, v = Math.floor(i / SIDE) - center - SHIFT * down;
    const x = cosine * u + sine * v + center, y = cosine * v - sine * u + center, left = Math.floor(x), top = Math.floor(y);
    const [near, far] = [top, top + 1].map((row) => at(left, row) * (left + 1 - x) + at(left + 1, row) * (x - left));
    return (near * (top + 1 - y) + far * (y - top)) / 127.5 - 1;
  });
}

// As many images as there are digits
function many(drawings, seed) {
  const all = new Float32Array(MANY * SIDE ** 2);
  for (let i = 0; i < MANY; i++) all.set(varied(drawings[i % drawings.length], jitter(seed, i)), i * SIDE ** 2);
  return all;
}

// They outlive a reload, where the browser lets them.
function load() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]").map((image) => Uint8Array.from(image));
  } catch {
    return [];
  }
}
function keep(drawings) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(drawings.map((image) => [...image])));
  } catch { /* then they last as long as the page */ }
}

// The place to draw: `add` is given each drawing.
function paper(add) {
  const canvas = h("canvas", { width: WIDE, height: WIDE, className: "lab-paper", tabIndex: 0, role: "application" });
  const context = canvas.getContext("2d"), middle = [WIDE / 2, WIDE / 2], keys = { at: middle, down: false, used: false };
  let strokes = [], drawing = false;

  const show = () => {
    paint(context, strokes, PEN);
    if (!keys.used) return;
    Object.assign(context, { strokeStyle: keys.down ? "#e8590c" : "#c9a2ee", lineWidth: 3 });
    context.beginPath();
    context.arc(...keys.at, PEN / 2, 0, 2 * Math.PI);
    context.stroke();
  };
  const go = (point, begin) => {
    if (begin) strokes.push([point]);
    else strokes.at(-1).push(point);
    show();
  };
  const clear = () => {
    strokes = [];
    keys.at = middle;
    keys.down = drawing = false;
    show();
  };
  const done = () => {
    if (strokes.length) add(normalized(strokes));
    clear();
  };

  const place = ({ offsetX, offsetY }) => [offsetX, offsetY].map((v) => (v * WIDE) / canvas.clientWidth);
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drawing = true;
    keys.used = keys.down = false;
    go(place(event), true);
  });
  canvas.addEventListener("pointermove", (event) => drawing && go(place(event)));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (drawing = false));
  canvas.addEventListener("keydown", (event) => {
    const { key } = event;
    if (!(key in ARROWS) && ![" ", "Enter", "Backspace"].includes(key)) return;
    event.preventDefault();
    if (key === "Enter") return done();
    if (key === "Backspace") return clear();
    keys.used = true;
    if (key === " ") keys.down = !keys.down;
    else keys.at = keys.at.map((v, axis) => Math.min(WIDE - PEN, Math.max(PEN, v + ARROWS[key][axis])));
    if (keys.down) go(keys.at, key === " ");
    else show();
  });
  inEither(() => canvas.setAttribute("aria-label", inLanguage("그리는 곳. 화살표 키는 펜을 옮기고, 스페이스 키는 펜을 내리거나 들고, 엔터 키는 그림을 더합니다",
    "The place to draw. Arrow keys move the pen, the space bar puts it down or lifts it, Enter adds the drawing")));
  show();
  return [canvas, button(words("더하기", "Add"), done), button(words("지우기", "Clear"), clear)];
}

// Drawings, and whether to learn from them; `restart` begins the training again.
export function drawings(restart) {
  const all = load(), list = h("ul", { className: "lab-drawn" }), note = h("p", { role: "status", className: "lab-note" });
  let which = "digits", changes = 0, taken = null; // what the training began with

  const enough = () => which !== "digits" && all.length >= (which === "alone" ? LEAST : 1);
  function say() {
    const n = all.length;
    if (which === "digits") note.replaceChildren();
    else if (!enough()) {
      const more = (which === "alone" ? LEAST : 1) - n;
      note.replaceChildren(...words(`${more}장을 더 그리면 학습을 시작할 수 있습니다.`, `Draw ${more} more, and the training can begin.`));
    } else if (taken === `${which} ${changes}`) {
      const digits = which === "mixed" ? ["숫자 2,000장과 ", "the 2,000 digits and "] : ["", ""];
      note.replaceChildren(...words(`${digits[0]}그림 ${n}장을 조금씩 돌리고 옮긴 이미지 2,000장으로 학습합니다.`,
        `It learns from ${digits[1]}2,000 images, your ${n} drawings turned and moved a little.`));
    } else note.replaceChildren(...words("바뀐 그림은 ‘처음부터’를 눌러야 학습에 쓰입니다.", "Press “From the start” to learn from the drawings as they are now."));
  }
  function show() {
    list.replaceChildren(...all.map((image, i) => {
      const small = new Digits(1, 1), name = inLanguage(`그림 ${i + 1} 지우기`, `Remove drawing ${i + 1}`);
      small.draw(Float32Array.from(image, (v) => v / 127.5 - 1));
      small.canvas.setAttribute("aria-hidden", true);
      return h("li", {}, button(small.canvas, () => change(() => all.splice(i, 1)), { "aria-label": name }));
    }));
  }
  function change(make) {
    make();
    changes++;
    keep(all);
    show();
    if (enough() && !taken) restart();
    say();
  }

  const [canvas, ...buttons] = paper((image) => change(() => all.push(image)));
  const options = [["digits", ["숫자 2,000장", "the 2,000 digits"]], ["mixed", ["숫자와 내 그림", "the digits and my drawings"]], ["alone", ["내 그림만", "my drawings alone"]]];
  const from = choice(options, which, (value) => {
    const before = taken;
    which = value;
    if (enough() || before) restart();
    say();
  }, { id: "lab-from" });
  inEither(show);
  const element = h("fieldset", {}, h("legend", {}, words("내 그림으로 학습하기", "Train on what you draw")), h("div", { className: "lab-room" }, canvas,
    h("div", { className: "lab-controls" }, h("div", { className: "lab-row" }, buttons), list, labelled(words("학습할 이미지", "learn from"), from), note,
      h("p", { className: "lab-small" }, words("그림은 이 페이지 밖으로 나가지 않으며, 탭을 닫으면 사라집니다. 여기서 펜은 화살표 키와 스페이스 키로도 움직입니다.",
        "Your drawings do not leave this page, and are gone when you close the tab. The pen also obeys the arrow keys and the space bar.")))));

  // What the training begins with: images of the drawings, and whether they are all
  function given(seed) {
    taken = enough() ? `${which} ${changes}` : null;
    say();
    return taken ? { own: many(all, seed), alone: which === "alone" } : {};
  }
  return { element, given };
}
