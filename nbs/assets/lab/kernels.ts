// What an update does most of, in AssemblyScript: products of matrices, tanh, Adam. tools/make_lab.py compiles it into
// WebAssembly twice: with relaxed SIMD, which not every browser has, a product is added to a sum in one operation.
// An argument of type usize is a place in memory, a number of bytes or a count; matrices lie in rows, of float32.

// @ts-ignore: decorators are AssemblyScript's
@inline function added(sum: v128, a: v128, b: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, sum) : f32x4.add(sum, f32x4.mul(a, b));
}

// @ts-ignore
@inline function store8(to: usize, left: v128, right: v128): void {
  v128.store(to, left);
  v128.store(to, right, 16);
}

// out[n, m] = A B. A[i, p] lies at a + i ai + p ap and B[p, j] at b + p bp + j bj, so that either may be transposed.
// Eight columns of B at a time are copied to `room`, where they lie close together, and met by four rows of A.
export function product(out: usize, a: usize, ai: usize, ap: usize, b: usize, bp: usize, bj: usize,
  n: usize, k: usize, m: usize, room: usize): void {
  const wide = m & ~7, high = n & ~3, row = m << 2, end = room + (k << 5);
  for (let j: usize = 0; j < wide; j += 8) {
    for (let to = room, from = b + j * bj; to < end; to += 32, from += bp) {
      if (bj == 4) store8(to, v128.load(from), v128.load(from, 16));
      else for (let c: usize = 0; c < 8; c++) store<f32>(to + (c << 2), load<f32>(from + c * bj));
    }
    for (let i: usize = 0; i < high; i += 4) {
      let a0 = a + i * ai, a1 = a0 + ai, a2 = a1 + ai, a3 = a2 + ai;
      let left0 = f32x4.splat(0), left1 = left0, left2 = left0, left3 = left0;
      let right0 = left0, right1 = left0, right2 = left0, right3 = left0;
      for (let at = room; at < end; at += 32) {
        const left = v128.load(at), right = v128.load(at, 16);
        let x = v128.load_splat<f32>(a0);
        left0 = added(left0, x, left);
        right0 = added(right0, x, right);
        x = v128.load_splat<f32>(a1);
        left1 = added(left1, x, left);
        right1 = added(right1, x, right);
        x = v128.load_splat<f32>(a2);
        left2 = added(left2, x, left);
        right2 = added(right2, x, right);
        x = v128.load_splat<f32>(a3);
        left3 = added(left3, x, left);
        right3 = added(right3, x, right);
        a0 += ap;
        a1 += ap;
        a2 += ap;
        a3 += ap;
      }
      const to = out + i * row + (j << 2);
      store8(to, left0, right0);
      store8(to + row, left1, right1);
      store8(to + 2 * row, left2, right2);
      store8(to + 3 * row, left3, right3);
    }
  }
  for (let i: usize = 0; i < n; i++) { // the rows and columns that are left
    for (let j = i < high ? wide : 0; j < m; j++) {
      let sum: f32 = 0;
      for (let p: usize = 0; p < k; p++) sum += load<f32>(a + i * ai + p * ap) * load<f32>(b + p * bp + j * bj);
      store<f32>(out + i * row + (j << 2), sum);
    }
  }
}

// out[m] = the sums of the columns of x[n, m], four at a time; if there is one, the other three places hold nothing of use
export function columns(out: usize, x: usize, n: usize, m: usize): void {
  const row = m << 2, end = x + n * row;
  for (let j: usize = 0; j < row; j += 16) {
    let sum = f32x4.splat(0);
    for (let at = x + j; at < end; at += row) sum = f32x4.add(sum, v128.load(at));
    v128.store(out + j, sum);
  }
}

// ---- numbers one by one, four at a time: their counts are multiples of four

// x[n, m] = max(x + bias, alpha (x + bias))
export function leaky(x: usize, bias: usize, n: usize, m: usize, alpha: f32): void {
  const slope = f32x4.splat(alpha), row = m << 2;
  for (let i: usize = 0; i < n; i++, x += row) for (let j: usize = 0; j < row; j += 16) {
    const y = f32x4.add(v128.load(x + j), v128.load(bias + j));
    v128.store(x + j, f32x4.pmax(y, f32x4.mul(slope, y)));
  }
}

// back *= the derivative of leaky where it gave y
export function leakyBack(back: usize, y: usize, count: usize, alpha: f32): void {
  const slope = f32x4.splat(alpha), one = f32x4.splat(1), zero = f32x4.splat(0);
  for (const end = back + (count << 2); back < end; back += 16, y += 16) {
    const factor = v128.bitselect(one, slope, f32x4.gt(v128.load(y), zero));
    v128.store(back, f32x4.mul(v128.load(back), factor));
  }
}

// 2 to the power of x, for x in [-126, 126]: a whole number into the exponent, and Taylor for the rest. The whole number
// stands in the last bits of a sum that is so large that it has no others.
// @ts-ignore
@inline function power2(x: v128): v128 {
  const large = f32x4.splat(12582912), whole = f32x4.add(x, large), rest = f32x4.sub(x, f32x4.sub(whole, large));
  let sum = f32x4.splat(1.540353e-4);
  sum = added(f32x4.splat(1.3333558e-3), sum, rest);
  sum = added(f32x4.splat(9.618129e-3), sum, rest);
  sum = added(f32x4.splat(5.550411e-2), sum, rest);
  sum = added(f32x4.splat(0.24022651), sum, rest);
  sum = added(f32x4.splat(0.6931472), sum, rest);
  sum = added(f32x4.splat(1), sum, rest);
  return f32x4.mul(sum, i32x4.shl(i32x4.add(whole, i32x4.splat(127)), 23));
}

// x[n, m] = tanh(x + bias) = 1 - 2 / (exp(2 (x + bias)) + 1); beyond 10 it is 1 to the last bit
export function tanh(x: usize, bias: usize, n: usize, m: usize): void {
  const one = f32x4.splat(1), two = f32x4.splat(2), most = f32x4.splat(10), least = f32x4.splat(-10);
  const perPower = f32x4.splat(2.8853901), row = m << 2; // 2 / ln 2
  for (let i: usize = 0; i < n; i++, x += row) for (let j: usize = 0; j < row; j += 16) {
    const y = f32x4.pmin(f32x4.pmax(f32x4.add(v128.load(x + j), v128.load(bias + j)), least), most);
    v128.store(x + j, f32x4.sub(one, f32x4.div(two, f32x4.add(power2(f32x4.mul(y, perPower)), one))));
  }
}

// back *= the derivative of tanh where it gave y
export function tanhBack(back: usize, y: usize, count: usize): void {
  const one = f32x4.splat(1);
  for (const end = back + (count << 2); back < end; back += 16, y += 16) {
    const value = v128.load(y);
    v128.store(back, f32x4.mul(v128.load(back), f32x4.sub(one, f32x4.mul(value, value))));
  }
}

// kept += part (x - kept)
// @ts-ignore
@inline function moved(kept: usize, x: v128, part: v128): v128 {
  const old = v128.load(kept), now = added(old, part, f32x4.sub(x, old));
  v128.store(kept, now);
  return now;
}

export function average(kept: usize, x: usize, count: usize, part: f32): void {
  for (const end = kept + (count << 2); kept < end; kept += 16, x += 16) moved(kept, v128.load(x), f32x4.splat(part));
}

// One step of Adam, with its bias correction in `step`
export function adam(w: usize, g: usize, m: usize, v: usize, count: usize,
  step: f32, part1: f32, part2: f32, epsilon: f32): void {
  const rate = f32x4.splat(step), first = f32x4.splat(part1), second = f32x4.splat(part2), least = f32x4.splat(epsilon);
  for (const end = w + (count << 2); w < end; w += 16, g += 16, m += 16, v += 16) {
    const gradient = v128.load(g);
    const direction = f32x4.mul(rate, moved(m, gradient, first));
    const size = f32x4.add(f32x4.sqrt(moved(v, f32x4.mul(gradient, gradient), second)), least);
    v128.store(w, f32x4.sub(v128.load(w), f32x4.div(direction, size)));
  }
}
