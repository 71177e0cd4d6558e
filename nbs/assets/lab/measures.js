// The scorecard's classifier: which digits it reads in images, and how much of the real ones fakes cover.
import { loadWeights } from "./files.js";
import { Memory, start } from "./matrices.js";

const SHAPES = { w1: [25, 16], b1: [1, 16], w2: [400, 32], b2: [1, 32], w3: [800, 84], b3: [1, 84], w4: [84, 10], b4: [1, 10] };
const LOT = 8, SIDE = 28, KERNEL = 5, MARGIN = 2, FEATURES = 84, K = 5; // images at a time; pixels; neighbours

let memory;
const held = {};

export async function load() {
  const [weights] = await Promise.all([loadWeights(new URL("ruler.bin", import.meta.url), SHAPES), start()]);
  memory = new Memory();
  for (const [name, [n, m]] of Object.entries(SHAPES)) held[name] = memory.put(memory.matrix(n, m), weights[name]);
}

// Images with a margin of 0, which is grey, a pixel a row
function padded(images, n) {
  const wide = SIDE + 2 * MARGIN, x = memory.matrix(n * wide * wide, 1), to = memory.numbers(x).fill(0);
  for (let row = 0; row < n * SIDE; row++) {
    const at = (Math.floor(row / SIDE) * wide + (row % SIDE) + MARGIN) * wide + MARGIN;
    to.set(images.subarray(row * SIDE, (row + 1) * SIDE), at);
  }
  return x;
}

// Convolution, the largest of each four neighbours, and tanh; x: a pixel of n images of side by side a row
function seen(x, n, side, w, b) {
  const across = side - KERNEL + 1, half = across / 2, run = KERNEL * x.m, squares = memory.matrix(n * across ** 2, w.n);
  const from = memory.numbers(x), to = memory.numbers(squares);
  for (let row = 0, at = 0; row < n * across; row++) {
    for (let column = 0; column < across; column++) {
      for (let down = 0; down < KERNEL; down++) {
        const first = ((Math.floor(row / across) * side + (row % across) + down) * side + column) * x.m;
        for (let i = first; i < first + run; i++) to[at++] = from[i];
      }
    }
  }
  const products = memory.numbers(memory.product(memory.matrix(squares.n, w.m), squares, w));
  const pooled = memory.matrix(n * half ** 2, w.m), largest = memory.numbers(pooled);
  for (let row = 0, at = 0; row < n * half; row++) {
    for (let column = 0; column < half; column++) {
      for (let i = (2 * row * across + 2 * column) * w.m, end = i + w.m, below = across * w.m; i < end; i++) {
        largest[at++] = Math.max(products[i], products[i + w.m], products[i + below], products[i + below + w.m]);
      }
    }
  }
  return memory.tanh(pooled, b);
}

// images: [n, 784] in [-1, 1]. Their features [n, 84] and the digits [n] that they are read as.
export function describe(images) {
  const n = images.length / SIDE ** 2, features = new Float32Array(n * FEATURES), digits = new Uint8Array(n), { used } = memory;
  const bias = memory.numbers(held.b4);
  for (let i = 0; i < n; i += LOT) {
    const some = images.subarray(i * SIDE ** 2, (i + LOT) * SIDE ** 2), count = some.length / SIDE ** 2;
    const first = seen(padded(some, count), count, SIDE + 2 * MARGIN, held.w1, held.b1);
    const second = seen(first, count, SIDE / 2, held.w2, held.b2), { n: length } = held.w3;
    const flat = { ...second, n: count, m: length, down: 4 * length };
    const third = memory.tanh(memory.product(memory.matrix(count, FEATURES), flat, held.w3), held.b3);
    features.set(memory.numbers(third), i * FEATURES);
    const logits = memory.numbers(memory.product(memory.matrix(count, bias.length), third, held.w4));
    for (let row = 0; row < count; row++) {
      const mine = bias.map((b, digit) => b + logits[row * bias.length + digit]);
      digits[i + row] = mine.indexOf(Math.max(...mine));
    }
    memory.used = used;
  }
  return { features, digits };
}

// Squared distances of a row of one to all rows of the other
function distances(one, i, other) {
  const all = new Float32Array(other.length / FEATURES), first = i * FEATURES;
  for (let j = 0, at = 0; j < all.length; j++) {
    let sum = 0;
    for (let f = first; f < first + FEATURES; f++) sum += (one[f] - other[at++]) ** 2;
    all[j] = sum;
  }
  return all;
}

// How far from each row its fifth neighbour lies, squared
export const radii = (features) =>
  Float32Array.from({ length: features.length / FEATURES }, (_, i) => distances(features, i, features).sort()[K]);

// The share of real images that have a fake among their five neighbours (Naeem et al. 2020)
export const coverage = (real, reach, fake) =>
  reach.reduce((sum, radius, i) => sum + (Math.min(...distances(real, i, fake)) < radius), 0) / reach.length;
