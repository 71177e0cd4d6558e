// The page's own files: bytes that gzip packed, and generators whose weights are whole numbers of steps.

export async function inflate(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  const stream = answer.body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// For each array: its step (float32), then its numbers as multiples of the step (int8). `shapes` says how many.
export async function loadWeights(url, shapes) {
  const bytes = await inflate(url), weights = {};
  let at = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const count = shape.reduce((a, b) => a * b, 1), step = new DataView(bytes.buffer).getFloat32(at, true);
    weights[name] = Float32Array.from(new Int8Array(bytes.buffer, at + 4, count), (n) => n * step);
    at += 4 + count;
  }
  if (at !== bytes.length) throw new Error(`${url} is of another size`);
  return weights;
}
