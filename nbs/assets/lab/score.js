// The score and the diagnosis of room two, at each epoch of 550 updates while it trains.
import { Chart, colorOf } from "./charts.js";
import { diagnose, EARLY, EPOCH, signs } from "./diagnosis.js";
import { h, inScheme, picture, words } from "./page.js";

// By name: what chapter "When it goes wrong" calls it, and what it advises to try first
const NAMES = {
  diverged: ["발산한다", "Divergence", "학습률을 줄이기", "a smaller learning rate"],
  d_idle: ["판별기가 배우지 않는다", "The discriminator learns nothing", "판별기의 가중치가 움직이는지 보기", "see whether its weights move"],
  cycling: ["빙빙 돈다", "Cycling", "한 스텝씩 번갈아", "one step each, in turn"],
  collapse: ["한 그림으로 붕괴", "Collapse to one picture", "생성기의 학습률을 줄이기", "a smaller rate for the generator"],
  partial_collapse: ["몇 그림으로 붕괴", "Collapse to a few", "더 긴 z", "a longer z"],
  d_wins: ["판별기가 이긴다", "The discriminator wins", "생성기의 학습률을 올리거나 판별기의 학습률을 내리기",
    "a larger rate for the generator, or a smaller one for the discriminator"],
  undertrained: ["덜 배웠다", "Too few updates", "더 학습하기", "go on"],
};

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

class Coverage extends Chart {
  draw(scores) {
    const last = scores.at(-1), most = Math.max(EPOCH, last?.updates ?? 0);
    this.clear([0, most.toLocaleString("en")], ["0", "1"]);
    if (!last) return;
    this.line([[0, last.floor], [1, last.floor]], "--role-real", [3, 4]);
    this.line(scores.map(({ updates, coverage }) => [updates / most, coverage]), "--role-generator");
  }
}

class Counts extends Chart {
  draw({ digits, realDigits } = { digits: [], realDigits: [] }) {
    const most = Math.max(1, ...digits, ...realDigits);
    this.clear(["", ""], ["0", String(most)]);
    const { context } = this;
    for (let digit = 0; digit < 10; digit++) context.fillText(digit, this.x((digit + 0.4) / 10), this.y(0) + 19);
    digits.forEach((count, digit) => {
      context.fillStyle = colorOf("--role-generator");
      context.fillRect(this.x((digit + 0.15) / 10), this.y(count / most), this.x(0.7 / 10) - this.x(0), this.y(0) - this.y(count / most));
      this.line([0.05, 0.95].map((side) => [(digit + side) / 10, realDigits[digit] / most]), "--role-real");
    });
  }
}

// `ask` has the training's worker send images to be scored, with real ones beside them if they are not known yet.
export function scoreboard(ask) {
  const chart = new Coverage(), counts = new Counts(), findings = h("ul", { role: "status", className: "lab-findings" });
  const said = h("output", {}, "–");
  let worker, scores, record, before, waiting = false, round = 0;

  const paint = () => {
    chart.draw(scores);
    counts.draw(scores.at(-1));
  };
  function begin() {
    [scores, before] = [[], null];
    record = { d_loss: [], g_loss: [], variety: [], twins: [], roughness: [], movement: [] };
    round++;
    said.textContent = "–";
    findings.replaceChildren();
    paint();
  }

  // With each thing that is shown: where an epoch is over, its losses and the signs of its samples
  function follow({ updates, images }, curves, about) {
    const epochs = Math.floor(updates / EPOCH), broken = !Number.isFinite(curves.d.at(-1) ?? 0) || !Number.isFinite(curves.g.at(-1) ?? 0);
    if (epochs > record.d_loss.length || broken) {
      const since = EPOCH * record.d_loss.length;
      const now = { d_loss: mean(curves.d.slice(since)), g_loss: mean(curves.g.slice(since)), ...signs(images, before) };
      for (const [name, value] of Object.entries(now)) record[name].push(value);
      before = images;
      tell(diagnose({ ...record, ...about, updates }), updates);
    }
    if (!broken && !waiting && updates && (!scores.length || epochs > Math.floor(scores.at(-1).updates / EPOCH))) {
      waiting = true;
      ask({ known: !scores.length, round });
    }
  }

  function tell(found, updates) {
    const lines = found.map(({ name, sure, evidence }) => {
      const [korean, english, advice, inEnglish] = NAMES[name];
      return h("li", {}, h("a", { href: `../measure/diagnosis.html#${name}` }, words(korean, english)), ` (${sure}): ${evidence}. `,
        words(`먼저 해 볼 것: ${advice}`, `Try first: ${inEnglish}`));
    });
    if (updates < EARLY) {
      lines.push(h("li", {}, words("아직 이릅니다. 실패는 대부분 업데이트 2,500번부터 찾습니다.", "Early: most failures are not looked for before 2,500 updates.")));
    } else if (!found.length) lines.push(h("li", {}, words("이상이 없습니다.", "Nothing found.")));
    findings.replaceChildren(...lines);
  }

  // Images that the training's worker sent to be scored
  function score(images) {
    if (!worker) {
      worker = new Worker(new URL("scoring.js", import.meta.url), { type: "module" });
      worker.onmessage = take;
    }
    worker.postMessage(images);
  }
  function take({ data }) {
    waiting = false;
    if (data.round !== round) return;
    scores.push(data);
    const { coverage, floor, digits, realDigits } = data, covered = digits.filter((count, i) => count > realDigits[i] / 10).length;
    said.replaceChildren(...words(`커버리지 ${coverage.toFixed(2)}(진짜끼리 ${floor.toFixed(2)}), 숫자 ${covered}가지`,
      `coverage ${coverage.toFixed(2)} (real images ${floor.toFixed(2)}), ${covered} digits`));
    paint();
  }

  begin();
  inScheme(paint);
  const element = h("fieldset", {}, h("legend", {}, words("점수와 진단: 업데이트 550번마다", "Score and diagnosis: every 550 updates")),
    h("p", { className: "lab-score" }, said), findings,
    h("div", { className: "lab-grid" },
      picture(chart.canvas, "coverage", ["커버리지. 점선은 진짜끼리 잰 값", "Coverage; dotted, that of real images"], 1),
      picture(counts.canvas, "counts", ["가짜 400장을 분류기가 읽은 숫자. 초록 선은 진짜 400장", "The digits that the classifier reads in 400 fakes; the green lines are 400 real images"], 1)));
  return { begin, element, follow, score };
}
