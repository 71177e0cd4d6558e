// Trained generators. A draw lays out its weights and images in one memory, from its beginning.
import { loadWeights } from "./files.js";
import { Memory, start, T } from "./matrices.js";

const here = (name) => new URL(name, import.meta.url);
const LEAK = 0.01, LOT = 16, PIXELS = 784; // of images at a time
const DENSE = { w1: [100, 128], b1: [1, 128], w2: [128, PIXELS], b2: [1, PIXELS] };
const CONVOLUTIONAL = { w1: [110, 3136], b1: [1, 3136], w2: [512, 64], b2: [1, 32], w3: [16, 32], b3: [1, 1] };

let memory;

// Of what makes images of a matrix of latents and of weights: z [n, 100], and what else it is told, to images [n, 784]
async function generator(file, shapes, make, told = (z) => z) {
  const [weights] = await Promise.all([loadWeights(here(file), shapes), memory ? null : start()]);
  memory ??= new Memory();
  const lot = (inputs) => {
    const { used } = memory, { w1 } = shapes, held = {};
    for (const [name, [n, m]] of Object.entries(shapes)) held[name] = memory.put(memory.matrix(n, m), weights[name]);
    const images = make(memory.put(memory.matrix(inputs.length / w1[0], w1[0]), inputs), held);
    memory.used = used;
    return memory.numbers(images);
  };
  return (z, ...more) => {
    const inputs = told(z, ...more), [width] = shapes.w1, n = inputs.length / width, images = new Float32Array(n * PIXELS);
    for (let i = 0; i < n; i += LOT) images.set(lot(inputs.subarray(i * width, (i + LOT) * width)), i * PIXELS);
    return images;
  };
}

const layer = (x, w, b, alpha) => memory.leaky(memory.product(memory.matrix(x.n, w.m), x, w), b, alpha);

// Twice as large: a transposed convolution with kernels of 4 by 4 and a stride of 2, as Keras pads it ("same").
// x: a pixel a row, of images of size by size; w: a place of the kernel and a channel that it goes to a row
function twice(x, size, w) {
  const to = w.n / 16, wide = 2 * size, parts = memory.product(memory.matrix(x.n, w.n), x, T(w));
  const out = memory.matrix(4 * x.n, to), sums = memory.numbers(out).fill(0), part = memory.numbers(parts);
  for (let pixel = 0, from = 0; pixel < x.n; pixel++) {
    const row = Math.floor(pixel / size), image = Math.floor(row / size);
    for (let place = 0; place < 16; place++, from += to) {
      const y = 2 * (row % size) - 1 + (place >> 2), across = 2 * (pixel % size) - 1 + (place & 3);
      if (y < 0 || across < 0 || y >= wide || across >= wide) continue;
      const at = ((image * wide + y) * wide + across) * to;
      for (let channel = 0; channel < to; channel++) sums[at + channel] += part[from + channel];
    }
  }
  return out;
}

// The same numbers in rows of another length
const shaped = (x, n, m) => ({ ...x, n, m, down: 4 * m });

// After so many epochs
export const afterEpoch = (epoch) => generator(`epoch_${epoch}.bin`, DENSE, (z, { w1, b1, w2, b2 }) =>
  memory.tanh(memory.product(memory.matrix(z.n, PIXELS), layer(z, w1, b1, LEAK), w2), b2));

// The generator that is told the digits: one for each z, again from the first when they are used up. Batch normalisation
// is part of its weights.
export const conditional = () => generator("conditional.bin", CONVOLUTIONAL, (z, { w1, b1, w2, b2, w3, b3 }) => {
  const pixels = shaped(layer(z, w1, b1, 0), 49 * z.n, 64), larger = memory.leaky(twice(pixels, 7, w2), b2, 0);
  const bias = memory.put(memory.matrix(1, PIXELS), new Float32Array(PIXELS).fill(memory.numbers(b3)[0]));
  return memory.tanh(shaped(twice(larger, 14, w3), z.n, PIXELS), bias);
}, (z, digits) => {
  const n = z.length / 100, told = new Float32Array(110 * n);
  for (let i = 0; i < n; i++) {
    told.set(z.subarray(100 * i, 100 * (i + 1)), 110 * i);
    told[110 * i + 100 + digits[i % digits.length]] = 1;
  }
  return told;
});
