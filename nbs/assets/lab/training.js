// A training: the worker trains; here are its dials, its pictures, and room two with the address that holds the dials.
import { charts } from "./charts.js";
import { drawings } from "./draw.js";
import { button, choice, Digits, h, inScheme, labelled, picture, still, words } from "./page.js";
import { scoreboard } from "./score.js";

const RATES = [0, 0.00001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.02];
const same = (values) => values.map((value) => [value, value]);

// Each dial: its first value, what it may be, and its name. The post's, except beta_1, with which 2,000 digits are too few.
const DIALS = {
  smooth: [0.1, same([0, 0.1, 0.2, 0.3]), ["레이블 스무딩 (smooth)", "label smoothing (smooth)"]],
  alpha: [0.01, same([0, 0.01, 0.1, 0.2]), ["Leaky ReLU의 기울기 (alpha)", "slope of Leaky ReLU (alpha)"]],
  loss: ["flipped", [["flipped", ["뒤집은 레이블", "flipped labels"]], ["minus_d_loss", "−d_loss"]], ["생성기의 손실", "the generator's loss"]],
  beta_1: [0.5, same([0, 0.5, 0.9]), ["Adam의 beta_1", "Adam's beta_1"]],
  d_rate: [0.002, same(RATES), ["판별기의 학습률", "the discriminator's learning rate"]],
  g_rate: [0.002, same(RATES), ["생성기의 학습률", "the generator's learning rate"]],
  d_steps: [1, same([1, 2, 5]), ["업데이트마다 판별기의 스텝", "steps of D an update"]],
  average: [0, same([0, 0.9, 0.99, 0.999]), ["생성기 가중치의 평균", "average of G's weights"]],
};
const FIRST = Object.fromEntries(Object.entries(DIALS).map(([name, [value]]) => [name, value]));

// What comes of rates that do not match, by the names of the chapter "When it goes wrong"
const BREAKS = {
  d_wins: [["판별기가 이기게", "Let the discriminator win"], { g_rate: 0.00001 }],
  d_idle: [["판별기를 멈추게", "Stop the discriminator"], { d_rate: 0 }],
  collapse: [["생성기를 무너지게", "Make the generator collapse"], { g_rate: 0.02, d_rate: 0.0005 }],
};

// The dials that an address names, and those that it names wrongly
function fromAddress() {
  const query = new URLSearchParams(location.search), settings = { ...FIRST, seed: 0 }, wrong = [];
  for (const [name, text] of query) {
    const allowed = DIALS[name]?.[1].find(([value]) => String(value) === text);
    if (allowed) settings[name] = allowed[0];
    else if (name === "seed" && /^\d{1,9}$/.test(text)) settings.seed = Number(text);
    else if (name in settings) wrong.push(`${name}=${text}`);
  }
  return { settings, wrong };
}

function toAddress(settings) {
  const url = new URL(location.href);
  for (const [name, first] of Object.entries({ ...FIRST, seed: 0 })) {
    if (settings[name] === first) url.searchParams.delete(name);
    else url.searchParams.set(name, settings[name]);
  }
  history.replaceState(null, "", url);
  return Object.assign(new URL(url), { hash: "lab-training" }).href;
}

// Where nobody can tell real from fake, so that D = (1 - smooth) / 2 everywhere.
function equilibrium(smooth, loss) {
  const d = (1 - smooth) / 2;
  const dLoss = -(1 - smooth) * Math.log(d) - (1 + smooth) * Math.log(1 - d);
  return { d: dLoss, g: loss === "flipped" ? -Math.log(d) : Math.log(1 - d) };
}

const blueAndRed = (x) => (x < 0 ? [255 * (1 + x), 255 * (1 + x), 255] : [255, 255 * (1 - x), 255 * (1 - x)]);

// Its parts, of which a page shows those that it needs; `keep` is told the settings whenever they change
export function training({ settings = { ...FIRST, seed: 0 }, keep = () => {}, whole = false } = {}) {
  const lab = { updates: 0, playing: false };
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const order = (order, more = {}) => worker.postMessage({ order, settings: { ...settings }, ...more });
  const say = (...texts) => note.replaceChildren(...texts);

  const samples = new Digits(16, 4), back = new Digits(16, 4, blueAndRed);
  const { losses, verdicts } = charts(), score = whole ? scoreboard((about) => order("sample", about)) : null;
  const mine = whole ? drawings(() => begin()) : null;
  const curves = { d: [], g: [] };
  const count = h("output", {}, "0"), speed = h("output", {}, "–"), shownLosses = h("output", {}, "–"), strength = h("output", {}, "–");
  const note = h("p", { role: "status", className: "lab-note" }, words("준비하고 있습니다.", "Getting ready."));

  // ---- what the worker shows
  let clock = null, verdict = null;
  const paint = () => {
    losses.draw(curves, equilibrium(settings.smooth, settings.loss));
    if (verdict) verdicts.draw(...verdict);
  };
  inScheme(paint);
  function show({ updates, losses: pairs, images, back: gradient, onReal, onFake }) {
    const now = performance.now();
    if (clock && updates > clock.updates && lab.playing) speed.textContent = ((updates - clock.updates) / (now - clock.now) * 1000).toFixed(0);
    clock = { now, updates };
    lab.updates = updates;
    for (const [d, g] of pairs) {
      curves.d.push(d);
      curves.g.push(g);
    }
    count.textContent = updates.toLocaleString("en");
    if (updates) shownLosses.textContent = `d ${curves.d.at(-1).toFixed(2)}, g ${curves.g.at(-1).toFixed(2)}`;
    const most = gradient.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    strength.textContent = most.toExponential(1);
    samples.draw(images);
    back.draw(gradient.map((v) => (most ? -v / most : 0)));
    verdict = [onReal, onFake];
    paint();
    const { smooth, loss } = settings;
    score?.follow({ updates, images }, curves, { levels: [equilibrium(smooth, loss)], crossEntropy: loss === "flipped" });
    if (![curves.d.at(-1) ?? 0, curves.g.at(-1) ?? 0].every(Number.isFinite)) {
      lab.playing = false;
      follow();
      say(...words("손실이 무한대가 되어 멈췄습니다. 설정을 바꾸고 처음부터 다시 해 보세요.", "A loss is no longer finite, so it stopped. Change a setting and begin again."));
    }
  }

  // ---- what the reader does
  lab.play = () => {
    document.dispatchEvent(new CustomEvent("training", { detail: lab })); // one at a time
    lab.playing = true;
    clock = null;
    order("play");
    follow();
  };
  lab.pause = () => {
    lab.playing = false;
    order("pause");
    follow();
  };
  function begin() {
    lab.pause();
    curves.d.length = curves.g.length = 0;
    score?.begin();
    shownLosses.textContent = speed.textContent = "–";
    order("begin", mine?.given(settings.seed));
  }
  function set(changes) {
    Object.assign(settings, changes);
    for (const name of Object.keys(DIALS)) dials[name].value = settings[name];
    keep(settings);
  }
  function follow() {
    play.setAttribute("aria-pressed", lab.playing);
    play.replaceChildren(...(lab.playing ? words("멈춤", "Pause") : words("학습", "Train")));
    step.disabled = lab.playing;
  }

  const play = button("", () => (lab.playing ? lab.pause() : lab.play()), { className: "lab-play", disabled: true });
  const step = button(words("업데이트 한 번", "One update"), () => order("step"), { disabled: true });
  const again = button(words("처음부터", "From the start"), begin, { disabled: true });
  const slow = h("input", { type: "checkbox" });
  slow.addEventListener("change", () => order(null, { slow: slow.checked }));
  const seed = h("input", { type: "number", min: 0, max: 999999999, step: 1, value: settings.seed, inputMode: "numeric" });
  seed.addEventListener("change", () => {
    if (!/^\d{1,9}$/.test(seed.value)) seed.value = settings.seed;
    set({ seed: Number(seed.value) });
    begin();
  });
  const dials = Object.fromEntries(Object.entries(DIALS).map(([name, [, options]]) => [name, choice(options, settings[name], (text) => {
    set({ [name]: options.find(([value]) => String(value) === text)[0] });
    order("settings");
  }, { id: `lab-${name}` })]));
  const preset = (changes) => {
    set({ ...FIRST, ...changes });
    begin();
    lab.play();
  };
  const breaks = Object.fromEntries(Object.entries(BREAKS).map(([name, [label, changes]]) => [name, button(words(...label), () => preset(changes), { disabled: true })]));
  const pictures = {
    samples: picture(samples.canvas, "samples", ["같은 z에서 나온 숫자", "Digits from the same z"]),
    gradient: picture(back.canvas, "gradient", ["생성기로 돌아가는 것: 빨간 픽셀은 밝을수록, 파란 픽셀은 어두울수록 판별기가 더 속습니다",
      "What flows back to the generator: brighter red or darker blue pixels would fool the discriminator more"]),
    losses: picture(losses.canvas, "losses", ["손실과 평형의 값(점선): d_loss는 파랑, g_loss는 보라", "Losses and, dotted, their values at the equilibrium: d_loss blue, g_loss purple"], 1),
    verdicts: picture(verdicts.canvas, "verdicts", ["판별기의 확률: 진짜는 초록, 가짜는 보라", "What the discriminator says: real green, fake purple"], 1),
  };
  const numbers = h("p", { className: "lab-numbers" }, words("업데이트", "updates"), " ", count, " · ", words("초당", "a second"), " ", speed, " · ",
    words("손실", "losses"), " ", shownLosses);
  const largest = h("p", {}, words("가장 큰 기울기(픽셀 하나)", "Largest gradient of a pixel"), " ", strength);
  const mend = button(words("처음 설정으로", "Mend it: the first settings"), () => preset({}), { disabled: true });
  follow();

  lab.ready = new Promise((resolve, reject) => {
    worker.onerror = (event) => {
      say(...words("이 브라우저에서는 학습을 시작할 수 없습니다.", "The training cannot start in this browser."), ` ${event.message ?? ""}`);
      reject(new Error(event.message));
    };
    worker.onmessage = ({ data }) => {
      if (data.sample) return score.score(data.sample);
      if (!data.ready) return show(data);
      order("begin", { interval: still.matches ? 1000 : 100 });
      for (const control of [play, step, again, mend, ...Object.values(breaks)]) control.disabled = false;
      say();
      resolve();
    };
  });
  lab.ready.catch(() => {}); // it has been said on the page
  still.addEventListener("change", () => order(null, { interval: still.matches ? 1000 : 100 }));
  document.addEventListener("training", ({ detail }) => detail !== lab && lab.playing && lab.pause());
  return { lab, say, play, step, again, slow, seed, dials, breaks, mend, pictures, numbers, largest, score: score?.element, own: mine?.element, note };
}

// Room two: all of it, with the address
export default function (place) {
  const { settings, wrong } = fromAddress(), room = training({ settings, keep: toAddress, whole: true }), { lab, say, pictures } = room;
  const breaks = Object.entries(room.breaks).map(([failure, control]) => h("li", {}, control, " ",
    h("a", { href: `../measure/diagnosis.html#${failure}` }, words("실패 사례에서 보기", "See it among the failures"))));
  const copy = button(words("이 설정의 주소 복사", "Copy the address of these settings"), async () => {
    const address = toAddress(settings);
    try {
      await navigator.clipboard.writeText(address);
      say(...words("주소를 복사했습니다.", "Copied."));
    } catch {
      say(h("input", { readOnly: true, value: address, "aria-label": "address" })); // where the clipboard is shut, to be copied by hand
    }
  });

  place.replaceChildren(
    h("div", { className: "lab-row" }, room.play, room.step, room.again,
      h("label", { className: "lab-check" }, room.slow, h("span", {}, words("천천히", "slowly"))), labelled(words("시드", "seed"), room.seed)),
    room.numbers,
    room.note,
    h("div", { className: "lab-grid" }, Object.values(pictures)),
    room.largest,
    room.score,
    room.own,
    h("fieldset", {}, h("legend", {}, words("설정: 학습하는 도중에도 바꿀 수 있습니다", "Settings: they may be changed while it trains")),
      h("div", { className: "lab-dials" }, Object.entries(DIALS).map(([name, [, , label]]) => labelled(words(...label), room.dials[name])))),
    h("fieldset", {}, h("legend", {}, words("망가뜨려 보기", "Break it")), h("ul", { className: "lab-breaks" }, breaks, h("li", {}, room.mend))),
    h("p", {}, copy),
  );
  if (wrong.length) lab.ready.then(() => say(...words(`주소에 쓸 수 없는 값이 있어 무시했습니다: ${wrong.join(", ")}`, `The address had values that cannot be, and they were left out: ${wrong.join(", ")}`)), () => {});
  window.lab = lab;
}
