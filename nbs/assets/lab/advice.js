// What the discriminator tells the generator: a gradient for each pixel, while both learn. For the chapter "Discriminator".
import { h, toLab, words } from "./page.js";
import { training } from "./training.js";

export default function (place) {
  const { play, step, again, numbers, note, pictures: { samples, gradient }, largest } = training();
  place.replaceChildren(
    h("p", {}, words("두 신경망이 배우는 동안 기울기가 어떻게 변하는지 보세요.", "Watch how the gradient changes while both networks learn.")),
    h("div", { className: "lab-row" }, play, step, again), numbers, note,
    h("div", { className: "lab-grid" }, samples, gradient), largest, h("p", {}, toLab("lab-training")));
}
