// What goes wrong, by the rules of learning_gan.measure.records: those for which the page knows enough.

export const EPOCH = 550, EARLY = 2500; // updates: an epoch is 55,000 images; what all but certainty waits for
const WON = 4.5, WON_STILL = 3, LOST = 0.6, HUGE = 100;
const NOISY = 0.5, ROUGH = 0.34, ONE_IMAGE = 0.1, NEARLY_ONE = 0.2, ALIKE = 0.3, TWINS = 0.03;
const RESTLESS = 0.5, CALM = 0.2, STILL = 0.015, TINY = 1e-12;

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b), n = sorted.length;
  return (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2;
};

// ---- what images [n, side, side] give away; `before`: those of the same z an epoch earlier

export function signs(images, before, side = 28) {
  const pixels = side ** 2, n = images.length / pixels, row = (i) => images.subarray(i * pixels, (i + 1) * pixels);
  const variance = (values) => mean(values.map((v) => v * v)) - mean(values) ** 2;
  const apart = (a, b) => mean(a.map((v, p) => (v - b[p]) ** 2));
  const all = Array.from({ length: n }, (_, i) => Float64Array.from(row(i)));
  const within = mean(all.map(variance)) + TINY;
  const others = all.map((one, i) => all.flatMap((other, j) => (i === j ? [] : apart(one, other))));
  const columns = Array.from({ length: pixels }, (_, p) => variance(all.map((one) => one[p])));
  const across = all.flatMap((one) => [...one].flatMap((v, p) => (p % side ? (v - one[p - 1]) ** 2 : [])));
  const down = all.flatMap((one) => [...one].flatMap((v, p) => (p < side ? [] : (v - one[p - side]) ** 2)));
  return {
    variety: mean(columns) / within,
    twins: median(others.map((one) => Math.min(...one))) / (mean(others.flat()) + TINY),
    roughness: (mean(across) + mean(down)) / 2 / (2 * within),
    movement: before ? apart(Float64Array.from(images), before) / (2 * within) : NaN,
  };
}

// ---- rules: of a record, whose series have a number an epoch, [how sure, the series that show it], or nothing

const late = (values) => mean(values.slice(-Math.max(1, Math.floor(values.length / 4))).filter(Number.isFinite));
const isEarly = ({ updates }, times = 1) => updates < times * EARLY;
const won = ({ crossEntropy, d_loss, g_loss }, least = WON) => crossEntropy && late(g_loss) > least && late(d_loss) >= 0 && late(d_loss) < LOST;
const fooled = ({ crossEntropy, d_loss, g_loss }, most) =>
  crossEntropy && late(g_loss) >= 0 && late(g_loss) < most && late(d_loss) > 3 && late(d_loss) < HUGE;
const rises = (losses) => losses.slice(1).every((loss, i) => loss - losses[i] > -0.02 * losses[i]);
const BOTH = ["d_loss", "g_loss"];

const RULES = {
  diverged: {
    shows(record) {
      const endless = BOTH.filter((name) => !record[name].every(Number.isFinite));
      if (endless.length) return ["certain", endless];
      const huge = BOTH.filter((name) => record.crossEntropy && late(record[name]) > HUGE);
      return huge.length && ["likely", huge];
    },
  },
  d_idle: {
    shows(record) {
      const { d_loss, g_loss, levels } = record, half = d_loss.length >> 1;
      for (const { d, g } of half ? levels : []) {
        const off = d_loss.map((loss, i) => Math.max(Math.abs(loss - d), Math.abs(g_loss[i] - g) / 2)).slice(half);
        if (median(off) < STILL && Math.max(...off) < 5 * STILL) return [median(off) < STILL / 4 ? "likely" : "possible", BOTH];
      }
      return fooled(record, 0.1) && rises(d_loss) && ["likely", BOTH];
    },
    hides: ["collapse", "partial_collapse", "undertrained"],
  },
  cycling: {
    shows({ movement, variety, crossEntropy, d_loss }) {
      const round = Math.min(...movement.slice(-3)) > RESTLESS && Math.max(...variety.slice(-3)) < NEARLY_ONE;
      return round && !(crossEntropy && late(d_loss) < LOST) && ["likely", ["movement", "variety"]];
    },
    hides: ["collapse", "partial_collapse", "d_wins"],
  },
  collapse: {
    shows(record) {
      const { variety, roughness, movement } = record;
      const slow = variety.length > 1 && Math.max(...variety) < ALIKE && isEarly(record, 2);
      if (late(variety) < ONE_IMAGE && !slow) return ["likely", ["variety"]];
      return won(record) && late(roughness) > NOISY && late(movement) > RESTLESS && ["possible", ["g_loss", "movement"]];
    },
    hides: ["d_wins"],
  },
  partial_collapse: {
    shows: ({ twins, variety }) => late(twins) < TWINS && late(variety) >= ONE_IMAGE && ["likely", ["twins"]],
  },
  d_wins: {
    shows(record) {
      const { movement, roughness } = record, learns = late(roughness) < NOISY || late(movement) > RESTLESS;
      return won(record, late(movement) < CALM ? WON_STILL : WON) && !learns && ["likely", BOTH];
    },
    hides: ["undertrained"],
  },
  undertrained: {
    shows: (record) => isEarly(record) && (late(record.roughness) > ROUGH || late(record.variety) < ALIKE) && ["likely", ["roughness", "variety"]],
    always: true,
  },
};
const SURE = ["certain", "likely", "possible"];

// [{ name, sure, evidence }], the surest first
export function diagnose(record) {
  const shown = [];
  for (const [name, { shows, always }] of Object.entries(RULES)) {
    const [sure, series] = shows(record) || [];
    if (!sure || (isEarly(record) && !always && sure !== "certain")) continue;
    const evidence = series.map((each) => `${each} ${late(record[each]).toFixed(2)}`).join(", ");
    if (name === "diverged") return [{ name, sure, evidence }];
    shown.push({ name, sure, evidence });
  }
  const hidden = shown.flatMap(({ name }) => RULES[name].hides ?? []);
  return shown.filter(({ name }) => !hidden.includes(name)).sort((a, b) => SURE.indexOf(a.sure) - SURE.indexOf(b.sure));
}
