// The smallest GAN, of the chapter "How a GAN works": the generator is a number theta, the discriminator's logit psi x.
import { colorOf } from "./charts.js";
import { button, h, inScheme, labelled, picture, still, words } from "./page.js";
import { slider } from "./plane.js";

const UPDATES = 600, RATE = 0.1, SIDE = 400, EDGE = 3, SPEED = 120; // updates a second

const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));

// The path of [theta, psi] from [1, 0]
export function path({ momentum, penalty }, updates = UPDATES) {
  const point = [1, 0], motion = [0, 0], all = [[1, 0]];
  for (let i = 0; i < updates; i++) {
    for (const who of [1, 0]) { // the discriminator, then the generator
      const [theta, psi] = point;
      const slope = who ? sigmoid(psi * theta) * theta + penalty * psi : -sigmoid(-psi * theta) * psi;
      motion[who] = momentum * motion[who] + (1 - momentum) * slope;
      point[who] -= RATE * motion[who];
    }
    all.push([...point]);
  }
  return all;
}

export default function (place) {
  const state = { momentum: 0.9, penalty: 0, begun: null, shown: UPDATES };
  const canvas = h("canvas", { width: SIDE, height: SIDE, className: "lab-chart", role: "img" }), context = canvas.getContext("2d");
  const at = ([theta, psi]) => [theta, -psi].map((v) => SIDE / 2 + (v / EDGE) * (SIDE / 2));
  const outputs = { momentum: h("span"), penalty: h("span"), updates: h("span"), distance: h("span") };

  function dot(place, color, radius) {
    context.fillStyle = colorOf(color);
    context.beginPath();
    context.arc(...at(place), radius, 0, 2 * Math.PI);
    context.fill();
  }
  function paint() {
    const now = path(state, state.shown), [theta, psi] = now.at(-1);
    context.fillStyle = colorOf("--lg-page");
    context.fillRect(0, 0, SIDE, SIDE);
    context.strokeStyle = context.fillStyle = colorOf("--lg-muted");
    context.font = "15px system-ui, sans-serif";
    context.strokeRect(0.5, 0.5, SIDE - 1, SIDE - 1);
    context.fillText("θ (G)", SIDE - 46, SIDE / 2 - 8);
    context.fillText("ψ (D)", SIDE / 2 + 8, 20);
    context.beginPath();
    for (const point of now) context.lineTo(...at(point));
    context.lineWidth = 1.5;
    context.stroke();
    context.lineWidth = 1;
    dot([0, 0], "--role-real", 4);
    dot([theta, psi], "--role-generator", 7);
    outputs.momentum.textContent = state.momentum.toFixed(2);
    outputs.penalty.textContent = state.penalty.toFixed(2);
    outputs.updates.textContent = state.shown;
    outputs.distance.textContent = Math.hypot(theta, psi).toFixed(2);
  }

  function go() {
    state.begun = performance.now();
    requestAnimationFrame(run);
  }
  function run(now) {
    state.shown = Math.min(UPDATES, Math.max(0, Math.floor(((now - state.begun) / 1000) * SPEED)));
    paint();
    if (state.begun !== null && state.shown < UPDATES) requestAnimationFrame(run);
    else stop();
  }
  function stop() {
    state.begun = null;
    state.shown = UPDATES;
    paint();
  }
  const set = (changes) => {
    Object.assign(state, changes);
    stop();
  };

  place.replaceChildren(h("div", { className: "lab-room" },
    picture(canvas, "circling", ["가장 작은 GAN의 길: 보라색 점은 지금, 초록색 점은 평형", "The path of the smallest GAN: purple is where it is, green the equilibrium"], 2),
    h("div", { className: "lab-controls" },
      h("p", {}, words("관성과 페널티를 바꾸면 길이 바로 달라집니다.", "Change the momentum or the penalty, and the path changes at once.")),
      labelled([...words("관성", "momentum"), " ", outputs.momentum], slider(0, 0.95, 0.05, state.momentum, (momentum) => set({ momentum }))),
      labelled([...words("페널티 γ", "penalty γ"), " ", outputs.penalty], slider(0, 0.5, 0.05, state.penalty, (penalty) => set({ penalty }))),
      h("div", { className: "lab-row" }, button(words("처음부터 움직이기", "Watch it move"), go)),
      h("p", { className: "lab-numbers" }, words("업데이트", "updates"), " ", outputs.updates, " · ",
        words("평형까지의 거리", "distance from the equilibrium"), " ", outputs.distance))));
  inScheme(paint);
  if (still.matches) stop(); else go();
}
