// Any text in Hangul, written by the generator that is told letters: one z is one style.
import { inflate } from "./files.js";
import { hangul } from "./generators.js";
import { Digits, h, labelled, words } from "./page.js";
import { plane, Z } from "./plane.js";

const FIRST = 0xac00, KINDS = [19, 21, 28], MOST = 24, WIDE = 6, SIDE = 32; // 가; letters; syllables in all and in a row
const isSyllable = (code) => code >= 0 && code < 19 * 21 * 28;

// Initial, vowel and final, each as a 1 among zeros
function letters(codes) {
  const all = new Float32Array(68 * codes.length);
  codes.forEach((code, i) => {
    for (const [from, letter] of [[0, Math.floor(code / 588)], [19, Math.floor(code / 28) % 21], [40, code % 28]]) all[68 * i + from + letter] = 1;
  });
  return all;
}

export default function (place) {
  const generator = hangul(), seen = inflate(new URL("seen.bin", import.meta.url)); // a bit for each syllable
  const drawn = new Digits(1, 1, undefined, SIDE), unseen = h("p", { role: "status", className: "lab-note" });
  const text = h("input", { type: "text", value: "이름을쓰세요", maxLength: MOST, lang: "ko-KR", autocomplete: "off", spellcheck: false });
  let codes = [];

  const { draw, figure, moving, note } = plane(async (z) => {
    if (!codes.length) return;
    const [make, bits] = await Promise.all([generator, seen]), asked = letters(codes);
    const numbers = make(Float32Array.from({ length: Z * codes.length }, (_, i) => z[i % Z]), asked);
    drawn.lay(codes.length, Math.min(WIDE, codes.length));
    drawn.draw(numbers);
    const never = codes.filter((code) => !((bits[code >> 3] >> (7 - (code & 7))) & 1));
    mark(never);
    say(never);
  }, {
    digits: drawn,
    name: "name",
    caption: ["생성기가 쓴 글. 밑줄은 학습에서 한 번도 보지 못한 음절", "What the generator writes; underlined are syllables that it was never shown"],
    hint: ["그림 위에서 마우스나 손가락을 움직여 보세요. z가 움직이고 글씨체가 변합니다.",
      "Move the mouse or a finger over the picture: z moves, and the style of writing changes."],
  });

  // A line under what it was never shown
  function mark(never) {
    const context = drawn.canvas.getContext("2d");
    context.fillStyle = "#c9a2ee";
    codes.forEach((code, i) => {
      const [x, y] = drawn.corner(i);
      if (never.includes(code)) context.fillRect(x + 8, y + SIDE - 1, SIDE - 16, 1);
    });
  }
  let said = null;
  function say(never) {
    const list = [...new Set(never)].map((code) => String.fromCharCode(FIRST + code)).join(" ");
    if (list === said) return;
    said = list;
    unseen.replaceChildren(...(list ? words(`학습에서 한 번도 보지 못한 음절: ${list}`, `Never shown in the training: ${list}`) : []));
  }

  function write() {
    const all = [...text.value.normalize("NFC")].map((c) => c.codePointAt(0) - FIRST);
    codes = all.filter(isSyllable).slice(0, MOST);
    if (codes.length) draw();
    else unseen.replaceChildren(...words("가에서 힣까지의 음절을 쓰세요.", "Type Hangul, from 가 to 힣."));
    said = codes.length ? said : null;
  }
  text.addEventListener("input", write);
  write();

  place.replaceChildren(
    labelled(words("쓸 글", "text"), text),
    h("div", { className: "lab-room" }, figure, h("div", { className: "lab-controls" }, moving, unseen, note)));
}
