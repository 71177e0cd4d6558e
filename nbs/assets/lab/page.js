// What both rooms are made of: elements, words in two languages, pictures of digits.

// h("button", { type: "button", onclick }, "words"): an element with properties (and attributes, if they have a dash)
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat());
  return element;
}

// The site's switch hides one of the two.
export const words = (korean, english) => [
  h("span", { lang: "ko" }, korean), h("span", { className: "lang-gap" }, " / "), h("span", { lang: "en" }, english),
];

// For attributes, which hold one language: that of the page
export const inLanguage = (korean, english) => (document.documentElement.lang === "ko" ? korean : english);

export const button = (label, onclick, properties = {}) => h("button", { type: "button", onclick, ...properties }, label);

export const labelled = (label, control, ...more) => h("label", { className: "lab-field" }, h("span", {}, label), control, ...more);

export const toLab = (room) => h("a", { href: new URL(`../../go_on/lab.html#${room}`, import.meta.url).href }, words("실험실에서 더 해 보기", "More in the lab"));

// Calls `write` now and whenever the reader changes the language
export function inEither(write) {
  document.addEventListener("languagechange", write);
  write();
}

// Calls `paint` now and whenever the page turns dark or light, where the builders tell it
export function inScheme(paint) {
  for (const element of [document.documentElement, document.body]) new MutationObserver(paint).observe(element, { attributeFilter: ["class"] });
  paint();
}

// A select of [value, label] pairs; a label may be [Korean, English]
export const choice = (options, value, onchange, properties = {}) => {
  const select = h("select", properties, options.map(([value]) => h("option", { value })));
  inEither(() => options.forEach(([, label], i) => (select.options[i].text = Array.isArray(label) ? inLanguage(...label) : label)));
  select.value = value;
  select.addEventListener("change", () => onchange(select.value));
  return select;
};

const GAP = 2;

// Digits in rows, of side by side pixels; `color` turns a number in [-1, 1] into [red, green, blue].
export class Digits {
  constructor(count, columns, color = (x) => Array(3).fill((x + 1) * 127.5), side = 28) {
    Object.assign(this, { side, cell: side + GAP });
    this.palette = Uint32Array.from({ length: 256 }, (_, i) => color(i / 127.5 - 1).reduceRight((all, part) => 256 * all + Math.round(part), 255));
    this.canvas = h("canvas", { className: "lab-digits", role: "img" });
    this.lay(count, columns);
  }

  lay(count, columns) {
    const rows = Math.ceil(count / columns);
    Object.assign(this, { count, columns });
    Object.assign(this.canvas, { width: columns * this.cell - GAP, height: rows * this.cell - GAP });
  }

  // Where a digit lies
  corner = (i) => [(i % this.columns) * this.cell, Math.floor(i / this.columns) * this.cell];

  draw(numbers) {
    const { side, palette } = this, context = this.canvas.getContext("2d"), image = context.createImageData(side, side);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < this.count; i++) {
      for (let p = 0; p < side * side; p++) pixels[p] = palette[Math.round((numbers[i * side * side + p] + 1) * 127.5)];
      context.putImageData(image, ...this.corner(i));
    }
  }

  // Which digit lies under a pointer
  at({ offsetX, offsetY }) {
    const scale = this.canvas.width / this.canvas.clientWidth, [column, row] = [offsetX, offsetY].map((v) => Math.floor((v * scale) / this.cell));
    return Math.min(this.count - 1, Math.max(0, row * this.columns + column));
  }
}

// A canvas with a name, a caption and a button that takes the picture along
export function picture(canvas, name, caption, times = 8) {
  const take = () => {
    const large = h("canvas", { width: canvas.width * times, height: canvas.height * times }), context = large.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, 0, 0, large.width, large.height);
    h("a", { href: large.toDataURL("image/png"), download: `${name}.png` }).click();
  };
  const [korean, english] = caption;
  const png = button("PNG", take, { className: "lab-png" });
  inEither(() => {
    canvas.setAttribute("aria-label", inLanguage(korean, english));
    png.setAttribute("aria-label", inLanguage(`PNG로 저장: ${korean}`, `PNG, save: ${english}`));
  });
  return h("figure", { className: "lab-picture" }, canvas, h("figcaption", {}, h("span", {}, words(korean, english)), png));
}

export const still = matchMedia("(prefers-reduced-motion: reduce)");
