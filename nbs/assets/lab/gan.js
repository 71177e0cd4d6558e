// The post's two networks and one update of them, as in learning_gan.run.training.GAN, with the gradients by hand.
import { Memory, rows, T } from "./matrices.js";

export { start } from "./matrices.js";

export const SIZES = { z: 100, hidden: 128, pixels: 784 };
const MOST = 200; // images at a time
const BETA_2 = 0.999, EPSILON = 1e-8; // of Adam, as TensorFlow 1 had them

// ---------------------------------------------------------------- losses

// The mean of max(l, 0) - l y + log(1 + exp(-|l|)): no logit makes it overflow. Its derivative takes the logits' place.
export function crossEntropy(logits, label, sign = 1) {
  let sum = 0;
  logits.forEach((l, i) => {
    sum += Math.max(l, 0) - l * label + Math.log1p(Math.exp(-Math.abs(l)));
    logits[i] = (sign * (1 / (1 + Math.exp(-l)) - label)) / logits.length;
  });
  return (sign * sum) / logits.length;
}

// What the generator minimises: the two ways that the post names.
const G_LOSSES = {
  flipped: (logits) => crossEntropy(logits, 1),
  minus_d_loss: (logits) => crossEntropy(logits, 0, -1), // the part of -d_loss that depends on G
};

// Adam's bias correction and learning rate in one number
const stepSize = (rate, beta1, t) => (rate * Math.sqrt(1 - BETA_2 ** t)) / (1 - beta1 ** t);

// ---------------------------------------------------------------- a GAN

export class GAN extends Memory {
  // weights: {g, d}, each {w1, b1, w2, b2}, each a Float32Array, in rows
  constructor(weights) {
    super();
    const { z, hidden, pixels } = SIZES;
    this.g = this.network(weights.g, z, pixels);
    this.d = this.network(weights.d, pixels, 1);
    this.average = this.parameters(z, pixels);
    this.z = this.matrix(MOST, z);
    this.hidden = { g: this.matrix(MOST, hidden), d: this.matrix(MOST, hidden), back: this.matrix(MOST, hidden) };
    this.images = this.matrix(MOST, pixels); // real ones, then as many fakes
    this.back = this.matrix(MOST, pixels);
    this.logits = this.matrix(MOST, 1);
    this.updates = 0;
  }

  // ---- memory

  parameters(n, out) {
    const { hidden } = SIZES, at = this.used;
    const all = { w1: this.matrix(n, hidden), b1: this.matrix(1, hidden), w2: this.matrix(hidden, out), b2: this.matrix(1, out) };
    return { at, count: (this.used - at) / 4, ...all };
  }

  network(weights, n, out) {
    const [w, gradient, m, v] = Array.from({ length: 4 }, () => this.parameters(n, out));
    for (const [name, values] of Object.entries(weights)) this.numbers(w[name]).set(values);
    return { ...w, gradient, m, v, steps: 0 };
  }

  // ---- the networks forwards

  layer(hidden, x, { w1, b1 }, alpha) {
    return this.leaky(this.product(rows(hidden, 0, x.n), x, w1), b1, alpha);
  }

  generate(images, z, g, alpha) {
    this.tanh(this.product(images, this.layer(this.hidden.g, z, g, alpha), g.w2), g.b2);
  }

  // Logits, a copy of them
  discriminate(images, alpha) {
    const hidden = this.layer(this.hidden.d, images, this.d, alpha), [bias] = this.numbers(this.d.b2);
    return this.numbers(this.product(rows(this.logits, 0, images.n), hidden, this.d.w2)).map((l) => l + bias);
  }

  // ---- and backwards

  // From the derivatives at a network's output to those at its hidden layer
  toHidden(back, { w2 }, hidden, alpha) {
    const atHidden = rows(this.hidden.back, 0, back.n);
    this.product(atHidden, back, T(w2));
    this.wasm.leakyBack(atHidden.at, hidden.at, back.n * SIZES.hidden, alpha);
    return atHidden;
  }

  // From there to its weights, and one step of Adam
  learn(network, x, hidden, back, rate, { alpha, beta_1 }) {
    const { gradient, m, v, at, count } = network, atHidden = this.toHidden(back, network, hidden, alpha);
    this.product(gradient.w2, T(rows(hidden, 0, x.n)), back);
    this.wasm.columns(gradient.b2.at, back.at, x.n, back.m);
    this.product(gradient.w1, T(x), atHidden);
    this.wasm.columns(gradient.b1.at, atHidden.at, x.n, atHidden.m);
    const step = stepSize(rate, beta_1, ++network.steps);
    this.wasm.adam(at, gradient.at, m.at, v.at, count, step, 1 - beta_1, 1 - BETA_2, EPSILON);
  }

  // From G's loss to the pixels
  toPixels(fake, { alpha, loss }) {
    const logits = this.discriminate(fake, alpha), gLoss = G_LOSSES[loss](logits);
    const atHidden = this.toHidden(this.put(this.logits, logits), this.d, this.hidden.d, alpha);
    this.product(this.back, atHidden, T(this.d.w1));
    return [gLoss, rows(this.back, 0, fake.n)];
  }

  updateDiscriminator(images, settings) {
    const n = images.n / 2, logits = this.discriminate(images, settings.alpha);
    const dLoss = crossEntropy(logits.subarray(0, n), 1 - settings.smooth) + crossEntropy(logits.subarray(n), 0);
    this.learn(this.d, images, this.hidden.d, this.put(this.logits, logits), settings.d_rate, settings);
    return dLoss;
  }

  updateGenerator(fake, z, settings) {
    const [gLoss, back] = this.toPixels(fake, settings);
    this.wasm.tanhBack(back.at, fake.at, fake.n * SIZES.pixels);
    this.learn(this.g, z, this.hidden.g, back, settings.g_rate, settings);
    return gLoss;
  }

  // ---- what the page asks for

  // real: [n, 784] in [-1, 1]; z: [n, 100]. Returns d_loss before D's step and g_loss after it, before G's.
  update(real, z, settings) {
    const n = this.put(this.images, real).n, fake = rows(this.images, n, n), given = this.put(this.z, z);
    this.generate(fake, given, this.g, settings.alpha);
    let dLoss;
    for (let step = 0; step < settings.d_steps; step++) dLoss = this.updateDiscriminator(rows(this.images, 0, 2 * n), settings);
    const gLoss = this.updateGenerator(fake, given, settings);
    this.updates++;
    const part = this.updates === 1 ? 1 : 1 - settings.average; // the average begins with the first step
    this.wasm.average(this.average.at, this.g.at, this.average.count, part);
    return [dLoss, gLoss];
  }

  // z: [n, 100]. What G makes of it, [n, 784] in (-1, 1); of the average of its weights, if that is asked for.
  draw(z, alpha, average = false) {
    const given = this.put(this.z, z), images = rows(this.images, 0, given.n);
    this.generate(images, given, average ? this.average : this.g, alpha);
    return this.numbers(images).slice();
  }

  // images: [n, 784]. D's logits, [n].
  judge = (images, alpha) => this.discriminate(this.put(this.images, images), alpha);

  // images: [n, 784]. The derivative of G's loss with respect to each pixel, the same size.
  backToPixels = (images, settings) => this.numbers(this.toPixels(this.put(this.images, images), settings)[1]).slice();
}
