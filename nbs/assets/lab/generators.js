// Trained generators, drawn with plain loops: sixteen digits at a time need no library.
import { loadWeights } from "./files.js";

const here = (name) => new URL(name, import.meta.url);
const LEAK = 0.01;

// out[n, m] = x[n, k] w[k, m] + b[m]
function dense(x, w, b) {
  const m = b.length, k = w.length / m, n = x.length / k, out = new Float32Array(n * m);
  for (let i = 0; i < n; i++) {
    const row = out.subarray(i * m, (i + 1) * m);
    row.set(b);
    for (let j = 0; j < k; j++) {
      const value = x[i * k + j], from = j * m;
      if (value) for (let c = 0; c < m; c++) row[c] += value * w[from + c];
    }
  }
  return out;
}

// Twice as large: a transposed convolution with kernels of 4 by 4 and a stride of 2, as Keras pads it ("same").
// x: [size, size, from]; w: [4, 4, to, from]; out: [2 size, 2 size, to]
function twice(x, size, from, w, b) {
  const to = b.length, wide = 2 * size, out = new Float32Array(wide * wide * to);
  for (let i = 0; i < wide * wide; i++) out.set(b, i * to);
  for (let y = 0; y < size; y++) for (let x0 = 0; x0 < size; x0++) {
    const pixel = x.subarray((y * size + x0) * from, (y * size + x0 + 1) * from);
    for (let ky = 0; ky < 4; ky++) for (let kx = 0; kx < 4; kx++) {
      const oy = 2 * y + ky - 1, ox = 2 * x0 + kx - 1;
      if (oy < 0 || ox < 0 || oy >= wide || ox >= wide) continue;
      for (let c = 0; c < to; c++) {
        const kernel = ((ky * 4 + kx) * to + c) * from;
        let sum = 0;
        for (let f = 0; f < from; f++) sum += pixel[f] * w[kernel + f];
        out[(oy * wide + ox) * to + c] += sum;
      }
    }
  }
  return out;
}

const leaky = (x) => x.map((v) => (v < 0 ? LEAK * v : v));
const relu = (x) => x.map((v) => (v < 0 ? 0 : v));
const tanh = (x) => x.map(Math.tanh);

const DENSE = { w1: [100, 128], b1: [128], w2: [128, 784], b2: [784] };
const CONVOLUTIONAL = { w1: [110, 3136], b1: [3136], w2: [4, 4, 32, 64], b2: [32], w3: [4, 4, 1, 32], b3: [1] };

// After so many epochs: z [n, 100] to images [n, 784] in (-1, 1)
export async function afterEpoch(epoch) {
  const { w1, b1, w2, b2 } = await loadWeights(here(`epoch_${epoch}.bin`), DENSE);
  return (z) => tanh(dense(leaky(dense(z, w1, b1)), w2, b2));
}

// The generator that is told the digit; batch normalisation is part of its weights.
export async function conditional() {
  const { w1, b1, w2, b2, w3, b3 } = await loadWeights(here("conditional.bin"), CONVOLUTIONAL);
  const one = (told) => tanh(twice(relu(twice(relu(dense(told, w1, b1)), 7, 64, w2, b2)), 14, 32, w3, b3));
  return (z, digit) => {
    const n = z.length / 100, images = new Float32Array(n * 784), told = new Float32Array(110);
    told[100 + digit] = 1;
    for (let i = 0; i < n; i++) {
      told.set(z.subarray(i * 100, (i + 1) * 100));
      images.set(one(told), i * 784);
    }
    return images;
  };
}
