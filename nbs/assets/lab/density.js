// The one-dimensional GAN of the chapter "How a GAN works": it makes numbers, and both networks have 32 and 32 units.
import { Chart, colorOf } from "./charts.js";
import { crossEntropy } from "./gan.js";
import { Memory, rows, start, T } from "./matrices.js";
import { button, choice, h, inScheme, labelled, picture, still, words } from "./page.js";
import { latents } from "./random.js";

const HIDDEN = 32, BATCH = 256, MOST = 2 * BATCH, UPDATES = 1000;
const SHAPES = [[1, HIDDEN], [1, HIDDEN], [HIDDEN, HIDDEN], [1, HIDDEN], [HIDDEN, 1], [1, 1]]; // weights and biases
const RATES = { d: 0.01, g: 0.002 }, BETA_1 = 0.5, BETA_2 = 0.999, EPSILON = 1e-7; // of Adam, as Keras has it

export class Toy extends Memory {
  // weights: {g, d}, each of six Float32Arrays
  constructor(weights) {
    super();
    this.atHidden = this.hidden();
    this.toInput = this.matrix(MOST, 1);
    for (const name of ["g", "d"]) this[name] = this.network(weights[name]);
  }

  hidden = () => [this.matrix(MOST, HIDDEN), this.matrix(MOST, HIDDEN)];

  parameters() {
    const at = this.used, parts = SHAPES.map(([n, m]) => this.matrix(n, m));
    return { at, count: (this.used - at) / 4, parts };
  }

  network(weights) {
    const [w, gradient, m, v] = Array.from({ length: 4 }, () => this.parameters());
    weights.forEach((values, i) => this.numbers(w.parts[i]).set(values));
    return { w, gradient, m, v, steps: 0, x: this.matrix(MOST, 1), hidden: this.hidden(), out: this.matrix(MOST, 1) };
  }

  forwards({ w, x, hidden, out }, values) {
    const [w1, b1, w2, b2, w3, b3] = w.parts, given = this.put(x, values), [first, second] = hidden.map((h) => rows(h, 0, given.n));
    this.tanh(this.product(first, given, w1), b1);
    this.tanh(this.product(second, first, w2), b2);
    const [bias] = this.numbers(b3);
    return this.numbers(this.product(rows(out, 0, given.n), second, w3)).map((v) => v + bias);
  }

  // From the derivatives at the output to the gradients of the weights; returns the derivatives at the input
  backwards({ w, gradient, x, hidden, out }, derivatives) {
    const back = this.put(out, derivatives), { n } = back, lay = (matrices) => matrices.map((each) => rows(each, 0, n));
    const [given, first, second] = lay([x, ...hidden]), [atFirst, atSecond] = lay(this.atHidden), [w1, , w2, , w3] = w.parts;
    const through = (at, from, weights, values) => {
      this.product(at, from, T(weights));
      this.wasm.tanhBack(at.at, values.at, n * HIDDEN);
    };
    through(atSecond, back, w3, second);
    through(atFirst, atSecond, w2, first);
    [[given, atFirst], [first, atSecond], [second, back]].forEach(([before, after], layer) => {
      this.product(gradient.parts[2 * layer], T(before), after);
      this.wasm.columns(gradient.parts[2 * layer + 1].at, after.at, n, after.m);
    });
    return this.numbers(this.product(rows(this.toInput, 0, n), atFirst, T(w1)));
  }

  // One step of Adam, whose rate falls to 0 along a cosine
  step({ w, gradient, m, v }, rate, t, last) {
    const size = ((rate / 2) * (1 + Math.cos((Math.PI * (t - 1)) / last)) * Math.sqrt(1 - BETA_2 ** t)) / (1 - BETA_1 ** t);
    this.wasm.adam(w.at, gradient.at, m.at, v.at, w.count, size, 1 - BETA_1, 1 - BETA_2, EPSILON);
  }

  generate = (z) => this.forwards(this.g, z).map((v, i) => v + z[i]);

  updateDiscriminator(real, z, { smooth, d_steps }) {
    const n = real.length, logits = this.forwards(this.d, Float32Array.of(...real, ...this.generate(z)));
    const loss = crossEntropy(logits.subarray(0, n), 1 - smooth) + crossEntropy(logits.subarray(n), 0);
    this.backwards(this.d, logits);
    this.step(this.d, RATES.d, ++this.d.steps, UPDATES * d_steps);
    return loss;
  }

  updateGenerator(z) {
    const logits = this.forwards(this.d, this.generate(z)), loss = crossEntropy(logits, 1);
    this.backwards(this.g, this.backwards(this.d, logits));
    this.step(this.g, RATES.g, ++this.g.steps, UPDATES);
    return loss;
  }
}

// ---------------------------------------------------------------- numbers

const bell = (x, mean = 0, sd = 1) => Math.exp(-(((x - mean) / sd) ** 2) / 2) / (sd * Math.sqrt(2 * Math.PI));
const density = (x) => 0.6 * bell(x, -1, 0.5) + 0.4 * bell(x, 1.5, 0.5);
const normals = (u) => u.map((_, i) => Math.sqrt(-2 * Math.log((1 + u[i & ~1]) / 2 || 1e-7)) * Math[i & 1 ? "sin" : "cos"](Math.PI * u[i | 1]));
const BIN = 0.1, MIDDLES = Float32Array.from({ length: 100 }, (_, i) => -5 + BIN * (i + 0.5)), REAL = MIDDLES.map(density);
const Z = Float32Array.from({ length: MOST }, (_, i) => (8 * (i + 0.5)) / MOST - 4); // with the density of z as their weights

// G is the identity at first
function begin() {
  const uniform = latents(0, 0, 24);
  let at = 0;
  const glorot = ([n, m]) => uniform.slice(at, (at += n * m)).map((v) => v * Math.sqrt(6 / (n + m)));
  const network = (last) => SHAPES.map((shape, i) => (i % 2 || i > last ? new Float32Array(shape[0] * shape[1]) : glorot(shape)));
  return new Toy({ g: network(3), d: network(4) });
}

export default async function (place) {
  await start();
  const state = { updates: 0, playing: false, smooth: 0, d_steps: 3, toy: begin() }, chart = new Chart(), said = h("output", {});

  function update() {
    const uniform = latents(0, ++state.updates, 26);
    let at = 0;
    const take = () => uniform.slice(at, (at += BATCH)), z = () => normals(take());
    for (let i = 0; i < state.d_steps; i++) {
      const which = take();
      state.toy.updateDiscriminator(z().map((v, j) => v / 2 + (which[j] < 0.2 ? -1 : 1.5)), z(), state);
    }
    state.toy.updateGenerator(z());
  }

  function paint() {
    const { toy, smooth, updates } = state, fake = new Float32Array(MIDDLES.length), x = (v) => (v + 3) / 6.6;
    toy.generate(Z).forEach((v, i) => (fake[Math.min(99, Math.max(0, Math.floor((v + 5) / BIN)))] += ((8 / MOST) * bell(Z[i])) / BIN));
    const says = toy.forwards(toy.d, MIDDLES).map((logit) => 1 / (1 + Math.exp(-logit)));
    const shown = (values, keep = () => true) => [...MIDDLES].map((v, i) => [x(v), values[i], i]).filter(([at, , i]) => at >= 0 && at <= 1 && keep(i));
    const sum = (of) => BIN * MIDDLES.reduce((sum, _, i) => sum + of(i), 0);
    chart.clear([-3, 3.6], [0, 1]);
    chart.context.fillStyle = colorOf("--role-generator");
    chart.context.globalAlpha = 0.5;
    for (const [at, height] of shown(fake)) chart.context.fillRect(chart.x(at - BIN / 13.2), chart.y(height), chart.x(BIN / 6.6) - chart.x(0), chart.y(0) - chart.y(height));
    chart.context.globalAlpha = 1;
    chart.line(shown(REAL), "--role-real");
    chart.line(shown(says), "--role-discriminator");
    chart.line(shown(REAL.map((p, i) => ((1 - smooth) * p) / (p + fake[i])), (i) => REAL[i] + fake[i] > 0.02), "--role-discriminator", [2, 4]);
    const [onReal, onFake, apart] = [(i) => REAL[i] * says[i], (i) => fake[i] * says[i], (i) => Math.abs(REAL[i] - fake[i]) / 2].map((of) => sum(of).toFixed(2));
    said.replaceChildren(...words(`업데이트 ${updates} · D의 평균: 진짜 ${onReal}, 가짜 ${onFake} · 두 분포의 거리 ${apart}`,
      `update ${updates} · mean of D: real ${onReal}, fake ${onFake} · distance ${apart}`));
  }

  function run() {
    if (!state.playing) return;
    for (let i = 0; i < (still.matches ? 100 : 2) && state.updates < UPDATES; i++) update();
    paint();
    if (state.updates >= UPDATES) return turn(false);
    if (still.matches) setTimeout(run, 1000);
    else requestAnimationFrame(run);
  }
  function turn(playing) {
    state.playing = playing;
    play.replaceChildren(...(playing ? words("멈춤", "Pause") : words("학습", "Train")));
  }
  function again(changes) {
    Object.assign(state, changes, { updates: 0, toy: begin() });
    paint();
  }
  const play = button("", () => {
    if (state.updates >= UPDATES) again();
    turn(!state.playing);
    run();
  }, { className: "lab-play" });
  const dial = (name, values) => choice(values.map((value) => [value, value]), state[name], (text) => again({ [name]: Number(text) }));

  place.replaceChildren(
    h("div", { className: "lab-row" }, play, button(words("처음부터", "From the start"), () => again()),
      labelled(words("업데이트마다 판별기의 스텝", "steps of D an update"), dial("d_steps", [3, 2, 1])),
      labelled(words("스무딩", "smoothing"), dial("smooth", [0, 0.1, 0.3]))),
    h("p", { className: "lab-numbers" }, said),
    picture(chart.canvas, "density", ["초록은 진짜의 밀도, 보라는 가짜, 파랑은 D(점선은 이론의 D*)", "Green is the density of real numbers, purple the fakes, blue D and, dotted, D* of theory"], 1));
  turn(false);
  inScheme(paint);
}
