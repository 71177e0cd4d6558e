// Trains in a thread of its own, so that the page stays smooth, and shows how things stand some times a second.
import { GAN, SIZES, start } from "./gan.js";
import { inflate } from "./files.js";
import { firstWeights, latents, minibatch, shownLatents } from "./random.js";

const BATCH = 100, SHOWN = 16, SCORED = 400, SLOW = 600; // images three times, milliseconds
const state = { gan: null, settings: null, playing: false, slow: false, interval: 100, digits: null, images: null, losses: [] };

async function loadDigits() {
  const bytes = await inflate(new URL("digits.bin", import.meta.url));
  return Float32Array.from(bytes, (byte) => byte / 127.5 - 1);
}

function rows(images, indices, picked = new Float32Array(indices.length * SIZES.pixels)) {
  indices.forEach((row, i) => picked.set(images.subarray(row * SIZES.pixels, (row + 1) * SIZES.pixels), i * SIZES.pixels));
  return picked;
}

function joined(one, other) {
  const all = new Float32Array(one.length + other.length);
  all.set(one);
  all.set(other, one.length);
  return all;
}

const batch = new Float32Array(BATCH * SIZES.pixels); // one for all updates: a new one each time costs more than its copying
const realImages = (update) =>
  rows(state.images, minibatch(state.settings.seed, update, state.images.length / SIZES.pixels, BATCH), batch);

function update() {
  const { gan, settings } = state, z = latents(settings.seed, gan.updates, BATCH);
  state.losses.push(gan.update(realImages(gan.updates), z, settings));
}

function show() {
  const { gan, settings } = state, { alpha } = settings;
  const images = gan.draw(shownLatents(settings.seed, SHOWN), alpha, settings.average > 0);
  const fake = gan.draw(latents(settings.seed, gan.updates, BATCH), alpha);
  postMessage({
    updates: gan.updates,
    losses: state.losses.splice(0),
    images,
    back: gan.backToPixels(images, settings),
    onReal: gan.judge(realImages(gan.updates), alpha),
    onFake: gan.judge(fake, alpha),
  });
}

// Fakes to be scored and, if they are asked for, twice as many of the real images that it learns from
function sample({ known, round }) {
  const { gan, settings, images } = state, fakes = new Float32Array(SCORED * SIZES.pixels), lot = SCORED / 4;
  const z = latents(settings.seed, gan.updates, SCORED);
  for (let i = 0; i < SCORED; i += lot) {
    fakes.set(gan.draw(z.subarray(i * SIZES.z, (i + lot) * SIZES.z), settings.alpha, settings.average > 0), i * SIZES.pixels);
  }
  const real = known && rows(images, minibatch(settings.seed, 0, images.length / SIZES.pixels, 2 * SCORED));
  postMessage({ sample: { round, updates: gan.updates, fakes, known: real } });
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const { port1, port2 } = new MessageChannel();
const breath = () => new Promise((resolve) => { port1.onmessage = resolve; port2.postMessage(null); });
const diverged = () => state.losses.flat().some((loss) => !Number.isFinite(loss));

// One at a time: training must not be met in the middle by a new beginning.
let turn = Promise.resolve();
const inTurn = (task) => (turn = turn.then(task));

async function go() {
  const begun = performance.now();
  while (state.playing) {
    update();
    if (state.slow || performance.now() - begun >= state.interval) break;
  }
  state.playing &&= !diverged();
  show();
  await (state.slow && state.playing ? pause(SLOW) : breath()); // lets messages in
  if (state.playing) inTurn(go);
}

const orders = {
  // With images of the visitor's own, beside the digits or alone
  async begin(settings, { own, alone }) {
    const images = !own ? state.digits : alone ? own : joined(state.digits, own);
    Object.assign(state, { settings, images, losses: [], gan: new GAN(firstWeights(settings.seed, SIZES)) });
    show();
  },
  async settings(settings) {
    state.settings = settings;
  },
  async step() {
    update();
    show();
  },
  async sample(_, about) {
    sample(about);
  },
  async play() {
    state.playing = true;
    await go();
  },
};

onmessage = ({ data: { order, settings, slow, interval, ...more } }) => {
  if (slow !== undefined) state.slow = slow;
  if (interval !== undefined) state.interval = interval;
  if (order === "pause") state.playing = false;
  else if (order && !(order === "play" && state.playing)) inTurn(() => orders[order](settings, more));
};

await start();
state.digits = await loadDigits();
postMessage({ ready: true });
