// Scores images in a thread of its own, so that the training goes on meanwhile.
import { coverage, describe, load, radii } from "./measures.js";

const loaded = load();
let real;

const counts = (digits) => digits.reduce((sums, digit) => sums.with(digit, sums[digit] + 1), new Array(10).fill(0));

// Two samples of real images: fakes are held against the first, and the second says how well real ones do.
function meet(known) {
  const half = known.length / 2, { features, digits } = describe(known.subarray(0, half)), reach = radii(features);
  return { features, reach, digits: counts(digits), floor: coverage(features, reach, describe(known.subarray(half)).features) };
}

onmessage = async ({ data: { updates, fakes, known, round } }) => {
  await loaded;
  if (known) real = meet(known);
  const { features, digits } = describe(fakes);
  postMessage({ round, updates, coverage: coverage(real.features, real.reach, features), floor: real.floor, digits: counts(digits), realDigits: real.digits });
};
