// Builds a piece of the lab into each place that a chapter keeps for it, when the place is about to be seen:
// <section class="lab" data-lab="plane"></section> is given to the module plane.js. Without scripts it stays as it is.
const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("lab.css", import.meta.url).href });

export const dress = () => style.isConnected || document.head.append(style);

async function build(place) {
  dress();
  const { default: piece } = await import(`./${place.dataset.lab}.js`);
  piece(place);
}

const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    build(target);
  }
}, { rootMargin: "400px" });

for (const place of document.querySelectorAll("[data-lab]")) sight.observe(place);
