// The post's two networks and one update of them, as in learning_gan.run.training.GAN, written in jax-js.
// An array is freed by what takes it; `.ref` keeps it for another use. What `jit` compiles takes every number as an
// argument, because a number from outside would be compiled in and never change again.
import { defaultDevice, grad, init, jit, numpy as np, tree, valueAndGrad, vjp } from "./jax.js";

export const SIZES = { z: 100, hidden: 128, pixels: 784 };
const BETA_2 = Math.fround(0.999), EPSILON = 1e-8; // of Adam, as TensorFlow 1 had them

export async function start() {
  await init("wasm");
  defaultDevice("wasm");
}

const array = (numbers, ...shape) => np.array(numbers).reshape(shape); // of a Float32Array
const number = (value) => np.array(Float32Array.of(value)).reshape([]);

// ---------------------------------------------------------------- networks and losses

const leaky = (x, alpha) => np.maximum(x.ref, x.mul(alpha));
const twoLayers = ({ w1, b1, w2, b2 }, x, alpha) => np.dot(leaky(np.dot(x, w1).add(b1), alpha), w2).add(b2);
const generator = (g, z, alpha) => np.tanh(twoLayers(g, z, alpha)); // [batch, 784] in (-1, 1)
const discriminator = twoLayers; // logits [batch, 1]

// max(l, 0) - l y + log(1 + exp(-|l|)): no logit makes it overflow
function crossEntropy(logits, label) {
  const tail = np.log1p(np.exp(np.abs(logits.ref).neg()));
  return np.mean(np.maximum(logits.ref, 0).sub(logits.mul(label)).add(tail));
}

const dLoss = (d, real, fake, alpha, smooth) =>
  crossEntropy(discriminator(tree.ref(d), real, alpha.ref), np.subtract(1, smooth))
    .add(crossEntropy(discriminator(d, fake, alpha), 0));

// What the generator minimises: the two ways that the post names.
const G_LOSSES = {
  flipped: (logits) => crossEntropy(logits, 1),
  minus_d_loss: (logits) => crossEntropy(logits, 0).neg(), // the part of -d_loss that depends on G
};

// ---------------------------------------------------------------- one update

function adam(weights, gradients, { m, v }, step, beta1) {
  const first = (m, g) => m.mul(beta1.ref).add(g.mul(np.subtract(1, beta1.ref)));
  const second = (v, g) => v.mul(BETA_2).add(np.square(g).mul(1 - BETA_2));
  m = tree.map(first, m, tree.ref(gradients));
  v = tree.map(second, v, gradients);
  const moved = (w, m, v) => w.sub(m.mul(step.ref).div(np.sqrt(v).add(EPSILON)));
  weights = tree.map(moved, weights, tree.ref(m), tree.ref(v));
  beta1.dispose();
  step.dispose();
  return [weights, { m, v }];
}

function keep(average, weights, decay) {
  average = tree.map((old, now) => old.mul(decay.ref).add(now.mul(np.subtract(1, decay.ref))), average, weights);
  decay.dispose();
  return average;
}

function discriminate(d, adamOfD, real, fake, alpha, smooth, step, beta1) {
  const [loss, gradients] = valueAndGrad((d) => dLoss(d, real, fake, alpha, smooth))(tree.ref(d));
  return [loss, ...adam(d, gradients, adamOfD, step, beta1)];
}

function generate(g, d, adamOfG, fake, backToG, alpha, step, beta1, gLoss) {
  const [loss, backToPixels] = valueAndGrad((fake) => gLoss(discriminator(d, fake, alpha)))(fake);
  const [gradients] = backToG(backToPixels);
  backToG.dispose();
  return [loss, ...adam(g, gradients, adamOfG, step, beta1)];
}

const compiled = {
  draw: jit(generator),
  judge: jit(discriminator),
  // D alone: for every step but the last, where D takes several
  discriminate: jit((g, d, adamOfD, real, z, alpha, smooth, dStep, beta1) =>
    discriminate(d, adamOfD, real, generator(g, z, alpha.ref), alpha, smooth, dStep, beta1)),
};
for (const [name, gLoss] of Object.entries(G_LOSSES)) {
  compiled[name] = {
    // D's step, then G's with the same z
    update: jit((g, d, average, adamOfG, adamOfD, real, z, alpha, smooth, dStep, gStep, beta1, decay) => {
      const [fake, backToG] = vjp((g) => generator(g, z, alpha.ref), [tree.ref(g)]);
      const [lossOfD, d2, adamOfD2] = discriminate(d, adamOfD, real, fake.ref, alpha.ref, smooth, dStep, beta1.ref);
      const [lossOfG, g2, adamOfG2] = generate(g, tree.ref(d2), adamOfG, fake, backToG, alpha, gStep, beta1, gLoss);
      return [lossOfD, lossOfG, { g: g2, d: d2, average: keep(average, tree.ref(g2), decay), adamOfG: adamOfG2, adamOfD: adamOfD2 }];
    }),
    // What flows back to G: how its loss changes with each pixel
    backToPixels: jit((d, fake, alpha) => grad((fake) => gLoss(discriminator(d, fake, alpha)))(fake)),
  };
}

// ---------------------------------------------------------------- a GAN

// Adam's bias correction and learning rate in one number
const stepSize = (rate, beta1, t) => (rate * Math.sqrt(1 - BETA_2 ** t)) / (1 - beta1 ** t);
const memory = (weights) => ({ m: tree.map((w) => np.zeros(w.shape), weights), v: tree.map((w) => np.zeros(w.shape), weights) });
const network = ({ w1, b1, w2, b2 }, n, out) => ({
  w1: array(w1, n, SIZES.hidden), b1: array(b1, SIZES.hidden), w2: array(w2, SIZES.hidden, out), b2: array(b2, out),
});

export class GAN {
  // weights: {g, d}, each {w1, b1, w2, b2}, each a Float32Array, in rows
  constructor(weights) {
    this.g = network(weights.g, SIZES.z, SIZES.pixels);
    this.d = network(weights.d, SIZES.pixels, 1);
    this.average = tree.ref(this.g);
    this.adamOfG = memory(tree.ref(this.g));
    this.adamOfD = memory(tree.ref(this.d));
    this.updates = this.dSteps = 0;
  }

  // real: [n, 784] in [-1, 1]; z: [n, 100]. Returns d_loss before D's step and g_loss after it, before G's.
  async update(real, z, settings) {
    const n = z.length / SIZES.z, alpha = number(settings.alpha), smooth = number(settings.smooth), beta1 = number(settings.beta_1);
    const dStep = () => number(stepSize(settings.d_rate, settings.beta_1, ++this.dSteps));
    real = array(real, n, SIZES.pixels);
    z = array(z, n, SIZES.z);
    for (let extra = settings.d_steps - 1; extra > 0; extra--) {
      const [loss, d, adamOfD] = compiled.discriminate(
        tree.ref(this.g), this.d, this.adamOfD, real.ref, z.ref, alpha.ref, smooth.ref, dStep(), beta1.ref);
      loss.dispose();
      Object.assign(this, { d, adamOfD });
    }
    const gStep = number(stepSize(settings.g_rate, settings.beta_1, ++this.updates));
    const decay = number(this.updates === 1 ? 0 : settings.average); // the average begins with the first step
    const [dLoss, gLoss, state] = compiled[settings.loss].update(
      this.g, this.d, this.average, this.adamOfG, this.adamOfD, real, z, alpha, smooth, dStep(), gStep, beta1, decay);
    Object.assign(this, state);
    return [(await dLoss.data())[0], (await gLoss.data())[0]];
  }

  // z: [n, 100]. What G makes of it, [n, 784] in (-1, 1); of the average of its weights, if that is asked for.
  async draw(z, alpha, average = false) {
    return compiled.draw(tree.ref(average ? this.average : this.g), array(z, z.length / SIZES.z, SIZES.z), number(alpha)).data();
  }

  // images: [n, 784]. D's logits, [n].
  async judge(images, alpha) {
    return compiled.judge(tree.ref(this.d), array(images, images.length / SIZES.pixels, SIZES.pixels), number(alpha)).data();
  }

  // images: [n, 784]. The derivative of G's loss with respect to each pixel, the same size.
  async backToPixels(images, { loss, alpha }) {
    const fake = array(images, images.length / SIZES.pixels, SIZES.pixels);
    return compiled[loss].backToPixels(tree.ref(this.d), fake, number(alpha)).data();
  }

  dispose() {
    tree.dispose([this.g, this.d, this.average, this.adamOfG, this.adamOfD]);
  }
}
