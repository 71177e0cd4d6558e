// Randomness is counted: each draw is a pure function of the seed, what it is for, and a number.
const mix = (h, k) => {
  h = Math.imul(h ^ k, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca77);
  return (h ^ (h >>> 13)) >>> 0;
};

// `count` numbers, uniform in [low, low + wide), by mulberry32
function uniform(seed, stream, number, count, low = 0, wide = 1) {
  let state = [seed, stream, number].reduce(mix, 0x243f6a88);
  const draws = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    draws[i] = low + (wide * ((t ^ (t >>> 14)) >>> 8)) / 2 ** 24;
  }
  return draws;
}

const [WEIGHTS_OF_G, WEIGHTS_OF_D, LATENTS, SHOWN, ORDER, DIRECTION, JITTER] = [0, 1, 2, 3, 4, 5, 6];
const within = (numbers, limit) => numbers.map((x) => (2 * x - 1) * limit);

export const latents = (seed, update, count) => uniform(seed, LATENTS, update, 100 * count, -1, 2);
export const shownLatents = (seed, count) => within(uniform(seed, SHOWN, 0, 100 * count), 1);

// Glorot's first weights; biases are 0
function network(seed, stream, n, hidden, out) {
  const layer = (number, n, m) => within(uniform(seed, stream, number, n * m), Math.sqrt(6 / (n + m)));
  return { w1: layer(0, n, hidden), b1: new Float32Array(hidden), w2: layer(1, hidden, out), b2: new Float32Array(out) };
}
export const firstWeights = (seed, { z, hidden, pixels }) =>
  ({ g: network(seed, WEIGHTS_OF_G, z, hidden, pixels), d: network(seed, WEIGHTS_OF_D, pixels, hidden, 1) });

// Which images an update sees: whole permutations of the data, one an epoch
const order = { key: null, rows: null };
export function minibatch(seed, update, n, size) {
  const perEpoch = Math.floor(n / size), epoch = Math.floor(update / perEpoch), key = `${seed}/${epoch}/${n}`;
  if (order.key !== key) {
    const draws = uniform(seed, ORDER, epoch, n), rows = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(draws[i] * (i + 1));
      [rows[i], rows[j]] = [rows[j], rows[i]];
    }
    Object.assign(order, { key, rows });
  }
  const start = (update % perEpoch) * size;
  return order.rows.slice(start, start + size);
}

// How a drawing is varied: across, down, around, in size
export const jitter = (seed, number) => within(uniform(seed, JITTER, number, 4), 1);

// A direction in latent space, one of two
export const direction = (seed, number, length) => within(uniform(seed, DIRECTION, number, length), 1.5);
