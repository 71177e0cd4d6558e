// Two charts on canvases: the losses so far, and how often D says what.
import { h } from "./page.js";

const WIDTH = 480, HEIGHT = 300, LEFT = 44, BOTTOM = 26, BINS = 20;

export const colorOf = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

export class Chart {
  constructor() {
    this.canvas = h("canvas", { width: WIDTH, height: HEIGHT, className: "lab-chart", role: "img" });
    this.context = this.canvas.getContext("2d");
  }

  // Paper, axes and their ends
  clear([left, right], [bottom, top]) {
    const { context } = this;
    context.fillStyle = colorOf("--lg-page");
    context.fillRect(0, 0, WIDTH, HEIGHT);
    context.fillStyle = context.strokeStyle = colorOf("--lg-muted");
    context.font = "15px system-ui, sans-serif";
    context.strokeRect(LEFT, 8, WIDTH - LEFT - 8, HEIGHT - BOTTOM - 8);
    context.textAlign = "right";
    context.fillText(top, LEFT - 6, 20);
    context.fillText(bottom, LEFT - 6, HEIGHT - BOTTOM);
    context.fillText(right, WIDTH - 8, HEIGHT - 7);
    context.textAlign = "left";
    context.fillText(left, LEFT, HEIGHT - 7);
  }

  x = (part) => LEFT + part * (WIDTH - LEFT - 8);
  y = (part) => HEIGHT - BOTTOM - Math.min(1, Math.max(0, part)) * (HEIGHT - BOTTOM - 8);

  line(points, color, dash = []) {
    const { context } = this;
    context.strokeStyle = colorOf(color);
    context.setLineDash(dash);
    context.beginPath();
    for (const [x, y] of points) context.lineTo(this.x(x), this.y(y));
    context.stroke();
    context.setLineDash([]);
  }
}

const COLORS = { d: "--role-discriminator", g: "--role-generator" };

class Losses extends Chart {
  draw(history, equilibrium) {
    // a training may be long: of each curve some 400 values are looked at
    const n = history.d.length, every = Math.max(1, Math.ceil(n / 400)), thinned = (losses) => losses.filter((_, i) => i % every === 0);
    const shown = { d: thinned(history.d), g: thinned(history.g) };
    const sorted = Float64Array.from([...shown.d, ...shown.g, ...Object.values(equilibrium)].filter(Number.isFinite)).sort();
    const top = Math.max(2, Math.ceil(sorted[Math.floor(0.995 * (sorted.length - 1))])), bottom = Math.min(0, Math.floor(sorted[0]));
    const height = (loss) => (loss - bottom) / (top - bottom);
    this.clear([1, Math.max(n, 1).toLocaleString("en")], [bottom, top]);
    for (const [name, color] of Object.entries(COLORS)) {
      this.line(shown[name].map((loss, i) => [n > 1 ? (i * every) / (n - 1) : 0, height(loss)]), color);
      this.line([[0, height(equilibrium[name])], [1, height(equilibrium[name])]], color, [3, 4]);
    }
  }
}

class Verdicts extends Chart {
  draw(onReal, onFake) {
    this.clear(["D = 0", "D = 1"], ["0", "1"]);
    for (const [logits, color] of [[onReal, "--role-real"], [onFake, "--role-generator"]]) {
      const counts = new Array(BINS).fill(0);
      for (const logit of logits) counts[Math.min(BINS - 1, Math.floor(BINS / (1 + Math.exp(-logit))))]++;
      this.context.globalAlpha = 0.6;
      this.context.fillStyle = colorOf(color);
      counts.forEach((count, bin) => {
        const part = count / logits.length, width = (WIDTH - LEFT - 8) / BINS;
        this.context.fillRect(this.x(bin / BINS) + 1, this.y(part), width - 2, HEIGHT - BOTTOM - this.y(part));
      });
      this.context.globalAlpha = 1;
    }
  }
}

export const charts = () => ({ losses: new Losses(), verdicts: new Verdicts() });
