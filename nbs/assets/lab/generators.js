// Trained generators. A draw lays out its weights and images in one memory, from its beginning.
import { loadWeights } from "./files.js";
import { Memory, start, T } from "./matrices.js";

const here = (name) => new URL(name, import.meta.url);
const LEAK = 0.01, LOT = 8; // images at a time
const DENSE = { w1: [100, 128], b1: [1, 128], w2: [128, 784], b2: [1, 784] };

let memory;

// Of what makes images of a matrix of inputs and of weights: z [n, 100], and what else it is told, to images [n, pixels]
async function generator(file, shapes, make, told = (z) => z) {
  const [weights] = await Promise.all([loadWeights(here(file), shapes), memory ? null : start()]);
  memory ??= new Memory();
  const [width] = shapes.w1;
  const lot = (inputs) => {
    const { used } = memory, held = {};
    for (const [name, [n, m]] of Object.entries(shapes)) held[name] = memory.put(memory.matrix(n, m), weights[name]);
    const images = make(memory.put(memory.matrix(inputs.length / width, width), inputs), held);
    memory.used = used;
    return memory.numbers(images);
  };
  return (z, ...more) => {
    const inputs = told(z, ...more), n = inputs.length / width;
    let images;
    for (let i = 0; i < n; i += LOT) {
      const some = lot(inputs.subarray(i * width, (i + LOT) * width));
      images ??= new Float32Array((n * some.length) / Math.min(n, LOT));
      images.set(some, (images.length / n) * i);
    }
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
  memory.tanh(memory.product(memory.matrix(z.n, w2.m), layer(z, w1, b1, LEAK), w2), b2));

// A generator that is told labels [n, labels], 1 at what is asked for, beside the first `own` numbers of each z. From a
// picture of side by side with so many channels each layer makes one twice as large; batch normalisation is part of the
// weights.
function convolutional(file, own, labels, side, channels) {
  const width = own + labels, [first, ...others] = channels, spread = side * side * first;
  const shapes = { w1: [width, spread], b1: [1, spread] };
  others.forEach((to, i) => Object.assign(shapes, { [`w${i + 2}`]: [16 * to, channels[i]], [`b${i + 2}`]: [1, to] }));
  const make = (z, held) => {
    let x = layer(z, held.w1, held.b1, 0), size = side;
    others.forEach((to, i) => {
      x = twice(shaped(x, z.n * size * size, channels[i]), size, held[`w${i + 2}`]);
      size *= 2;
      if (to > 1) x = memory.leaky(x, held[`b${i + 2}`], 0);
    });
    const [bias] = memory.numbers(held[`b${channels.length}`]), pixels = size * size;
    const everywhere = memory.put(memory.matrix(1, pixels), new Float32Array(pixels).fill(bias));
    return memory.tanh(shaped(x, z.n, pixels), everywhere);
  };
  return generator(file, shapes, make, (z, asked) => {
    const n = z.length / 100, told = new Float32Array(width * n);
    for (let i = 0; i < n; i++) {
      told.set(z.subarray(100 * i, 100 * i + own), width * i);
      told.set(asked.subarray(labels * i, labels * (i + 1)), width * i + own);
    }
    return told;
  });
}

export const conditional = () => convolutional("conditional.bin", 20, 10, 7, [128, 64, 1]); // told the digit
export const hangul = () => convolutional("hangul.bin", 16, 19 + 21 + 28, 4, [192, 96, 48, 1]); // told three letters
