// A training that one button breaks and another mends, for the chapter "When it goes wrong": data-failure says which.
import { h, toLab, words } from "./page.js";
import { training } from "./training.js";

export default function (place) {
  const { breaks, mend, play, numbers, note, pictures: { samples, losses } } = training();
  place.replaceChildren(
    h("p", {}, words("여기에서 직접 일으켜 보세요. 원문의 두 신경망이 숫자 2,000장으로 배웁니다.", "Make it happen here: the post's two networks learn from 2,000 digits.")),
    h("div", { className: "lab-row" }, breaks[place.dataset.failure], mend, play), numbers, note,
    h("div", { className: "lab-grid" }, samples, losses), h("p", {}, toLab("lab-training")));
}
