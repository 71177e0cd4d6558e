// Matrices in the memory of a WebAssembly module, whose arithmetic stands in kernels.ts.

let compiled;
export async function start() {
  let bytes;
  for (const name of ["kernels-fused.wasm", "kernels.wasm"]) { // the first that this browser can run
    bytes = await (await fetch(new URL(name, import.meta.url))).arrayBuffer();
    if (WebAssembly.validate(bytes)) break;
  }
  compiled = await WebAssembly.compile(bytes);
}

// A matrix: where it lies, and how many bytes further the next row and the next column are
export const T = ({ at, n, m, down, right }) => ({ at, n: m, m: n, down: right, right: down });
export const rows = (x, first, n) => ({ ...x, at: x.at + first * x.down, n });

const LONGEST = 800; // row of the first matrix of a product, which copies eight columns of the second

export class Memory {
  wasm = new WebAssembly.Instance(compiled).exports;
  room = 0;
  used = 32 * LONGEST; // bytes; all of the memory is for us

  matrix(n, m) {
    const at = this.used;
    this.used += 16 * Math.ceil((n * m) / 4);
    return { at, n, m, down: 4 * m, right: 4 };
  }

  numbers = ({ at, n, m }) => new Float32Array(this.wasm.memory.buffer, at, n * m);

  // The first rows of a matrix, with these values
  put(x, values) {
    const filled = rows(x, 0, values.length / x.m);
    this.numbers(filled).set(values);
    return filled;
  }

  product(out, a, b) {
    this.wasm.product(out.at, a.at, a.down, a.right, b.at, b.down, b.right, a.n, a.m, b.m, this.room);
    return out;
  }

  // max(x + bias, alpha (x + bias))
  leaky(x, bias, alpha) {
    this.wasm.leaky(x.at, bias.at, x.n, x.m, alpha);
    return x;
  }

  tanh(x, bias) {
    this.wasm.tanh(x.at, bias.at, x.n, x.m);
    return x;
  }
}
