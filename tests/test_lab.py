"""The lab in Chromium: its arithmetic is the package's, its dials work, and it stays within its bounds."""

import gzip
import io
import re
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import numpy as np
from in_browser import MARKS, tab
from PIL import Image

from learning_gan.core.backend import keras, tf
from learning_gan.parts.data import to_unit_range
from learning_gan.parts.inputs import SAMPLE, latents
from learning_gan.parts.losses import Loss, cross_entropy, discriminator_loss
from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import latent_path
from learning_gan.run.training import GAN, build_gan

pytestmark = MARKS

SETTINGS = {"alpha": 0.01, "smooth": 0.1, "beta_1": 0.5, "d_rate": 0.002, "g_rate": 0.002, "average": 0}
DENSE = {"w1": (100, 128), "b1": (128,), "w2": (128, 784), "b2": (784,)}
CONVOLUTIONAL = {
    "w1": (110, 3136), "b1": (3136,), "w2": (4, 4, 32, 64), "b2": (32,), "w3": (4, 4, 1, 32), "b3": (1,),
}  # fmt: skip
BRIGHTNESS = """selector => { const canvas = document.querySelector(selector), { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    let sum = 0, count = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i + 3]) { sum += data[i]; count++; }
    return sum / count }"""
STILL = "async () => { const n = lab.updates; await new Promise(r => setTimeout(r, 1000)); return n === lab.updates }"
SAMPLES = "#lab-training .lab-picture:nth-of-type(1) canvas"


def in_page(opened, module: str, body: str, argument):
    "What a function of one of the page's modules returns."
    return opened.evaluate(
        f"async given => {{ const m = await import('../assets/lab/{module}'); {body} }}", argument
    )


@contextmanager
def lab(browser, address, query: str = "", **options):
    "The page, once room two is ready."
    with tab(browser, address, f"go_on/lab.html{query}", **options) as opened:
        opened.wait_for_function("window.lab")
        opened.evaluate("lab.ready")
        yield opened


def reach(opened, updates: int):
    opened.wait_for_function(f"lab.updates >= {updates}", timeout=100_000)


def stored(site, name: str, shapes: dict) -> list[np.ndarray]:
    "The weights in a file of the lab."
    data, at, arrays = gzip.decompress((site / "assets" / "lab" / name).read_bytes()), 0, []
    for shape in shapes.values():
        count, step = int(np.prod(shape)), np.frombuffer(data, "<f4", 1, at)[0]
        arrays.append((np.frombuffer(data, np.int8, count, at + 4) * step).astype(np.float32).reshape(shape))
        at += 4 + count
    assert at == len(data)
    return arrays


def generators(opened, site) -> None:
    z = latents(0, 0, 64, 100, SAMPLE).numpy()
    generator = build_gan(recipe("steady"), 0).generator
    told = np.concatenate([z, np.tile(np.eye(10, dtype="float32")[7], (64, 1))], 1)
    w1, b1, w2, b2, w3, b3 = stored(site, "conditional.bin", CONVOLUTIONAL)
    twice = dict(strides=2, padding="same")
    h = keras.ops.conv_transpose(np.maximum(told @ w1 + b1, 0).reshape(-1, 7, 7, 64), w2, **twice) + b2
    seven = np.tanh(keras.ops.conv_transpose(keras.ops.relu(h), w3, **twice) + b3)
    for epoch in (0, 20):
        generator.set_weights(stored(site, f"epoch_{epoch}.bin", DENSE))
        draw = "const draw = await m.afterEpoch(given[0]); return [...draw(Float32Array.from(given[1]))]"
        images = in_page(opened, "generators.js", draw, [epoch, z.ravel().tolist()])
        np.testing.assert_allclose(images, np.ravel(generator(z)), atol=1e-5)
    draw = "const draw = await m.conditional(); return [...draw(Float32Array.from(given), [7])]"
    images = in_page(opened, "generators.js", draw, z.ravel().tolist())
    np.testing.assert_allclose(images, np.ravel(seven), atol=1e-5)


class MoreSteps(GAN):
    "Two steps of D an update, as the page takes them."

    def update(self, real_images, z):
        self.update_discriminator(real_images, self.generator(z, training=True))
        return super().update(real_images, z)


MINUS_D_LOSS = Loss.of_logits(discriminator_loss, lambda fake_logits: -cross_entropy(fake_logits, 0))
LEARN = """const bytes = await (await fetch("given.bin?" + given.number)).arrayBuffer(), losses = [];
    let at = 0;
    const take = (count) => new Float32Array(bytes, 4 * (at += count) - 4 * count, count);
    const network = (n, out) => ({ w1: take(n * 128), b1: take(128), w2: take(128 * out), b2: take(out) });
    await m.start();
    const gan = new m.GAN({ g: network(100, 784), d: network(784, 1) });
    for (let i = 0; i < 20; i++) losses.push(await gan.update(take(78400), take(10000), given));
    return losses;"""


def updates(opened, digits) -> None:
    bodies, real = {}, to_unit_range(digits.train.images[:2000]).reshape(20, 100, 28, 28, 1)
    z = np.stack([latents(0, update, 100, 100) for update in range(20)])
    opened.route("**/given.bin*", lambda route: route.fulfill(body=bodies[int(route.request.url[-1])]))
    for number, (loss, d_steps) in enumerate([("flipped", 1), ("flipped", 2), ("minus_d_loss", 1)]):
        gan = build_gan(recipe("post", beta_1=0.5), 0, kind=MoreSteps if d_steps == 2 else GAN)
        gan.loss_of = MINUS_D_LOSS if loss == "minus_d_loss" else gan.loss_of
        weights = gan.generator.get_weights() + gan.discriminator.get_weights()
        update, pairs = tf.function(gan.update), list(zip(real, z, strict=True))
        given = [part.ravel() for part in (*weights, *(part for pair in pairs for part in pair))]
        expected = [[float(loss) for loss in update(*map(tf.constant, pair))] for pair in pairs]
        bodies[number] = np.concatenate(given).astype("<f4").tobytes()
        if d_steps == 2:  # once in a browser without relaxed SIMD
            opened.route("**/kernels-fused.wasm", lambda route: route.fulfill(body=b""))
        told = SETTINGS | {"loss": loss, "d_steps": d_steps, "number": number}
        np.testing.assert_allclose(in_page(opened, "gan.js", LEARN, told), expected, atol=1e-4)


def test_its_arithmetic_is_that_of_the_package(browser, address, site, digits):
    "Generators, updates, and the way between two z."
    a, b = latents(0, 0, 2, 100, SAMPLE).numpy()
    way = "return [0, .25, .5, 1].map(t => [...m.path(Float32Array.from(given[0]), Float32Array.from(given[1]))(t)])"
    with tab(browser, address, "go_on/lab.html") as opened:
        generators(opened, site)
        updates(opened, digits)
        found = in_page(opened, "sampling.js", way, [a.tolist(), b.tolist()])
        np.testing.assert_allclose(found, latent_path(a, b, 5)[[0, 1, 2, 4]], atol=1e-4)


def test_300_updates_train_and_the_charts_follow_the_scheme(browser, address):
    "Noise is grey; digits are mostly black. A pause holds, a step is one update."
    chart = "canvas.lab-chart"
    with lab(browser, address, color_scheme="light") as opened:
        opened.wait_for_function(f"({BRIGHTNESS})({SAMPLES!r}) > 100")
        opened.evaluate("lab.play()")
        reach(opened, 300)
        opened.evaluate("lab.pause()")
        opened.wait_for_function(STILL)
        done = opened.evaluate("lab.updates")
        assert opened.evaluate(BRIGHTNESS, SAMPLES) < 90
        opened.get_by_role("button", name="One update").click()
        reach(opened, done + 1)
        assert opened.evaluate("lab.updates") == done + 1
        light = opened.evaluate(BRIGHTNESS, chart)
        opened.emulate_media(color_scheme="dark")  # while it is paused
        opened.wait_for_function(f"light => Math.abs(({BRIGHTNESS})({chart!r}) - light) > 20", arg=light)


def losses_after(opened, updates: int) -> str:
    for done in range(updates):
        opened.get_by_role("button", name="One update").click()
        reach(opened, done + 1)
    return opened.locator(".lab-numbers output").last.inner_text()


def test_an_address_holds_the_settings(browser, address):
    "Whoever opens an address sees what its sender saw; what cannot be in it is said."
    sent, losses = "?beta_1=0.9&seed=3&smooth=7#lab-training", []
    for query in (sent, sent, "?seed=4&beta_1=0.9"):
        with lab(browser, address, query) as opened:
            losses.append(losses_after(opened, 2))
            assert ("smooth=7" in opened.locator("#lab-training .lab-note").inner_text()) == (query == sent)
            assert opened.locator("#lab-beta_1").input_value() == "0.9"
            opened.locator("#lab-loss").select_option("minus_d_loss")
            query = parse_qs(urlsplit(opened.url).query)
            assert query == {"beta_1": ["0.9"], "seed": query["seed"], "loss": ["minus_d_loss"]}
    assert losses[0] == losses[1] != losses[2]


def test_a_button_breaks_it_and_another_mends_it(browser, address):
    "With a discriminator that stands still, the generator's loss soon is nothing."
    with lab(browser, address) as opened:
        opened.get_by_role("button", name="Stop the discriminator").click()
        reach(opened, 100)
        assert opened.locator("#lab-d_rate").input_value() == "0"
        assert float(opened.locator(".lab-numbers output").last.inner_text().split("g ")[1]) < 0.1
        links = opened.locator("#lab-training a[href^='../measure/diagnosis.html#']")
        assert links.count() == 3
        opened.get_by_role("button", name="Mend it").click()
        opened.wait_for_function("lab.updates < 100")
        assert opened.locator("#lab-d_rate").input_value() == "0.002"


def test_digits_move_and_can_be_chosen(browser, address):
    "The pointer moves them, the sliders do as well, an epoch of 0 is noise, and a chosen digit comes from another generator."
    canvas = "#lab-sampling canvas"
    shown = f"document.querySelector({canvas!r}).toDataURL()"
    with tab(browser, address, "go_on/lab.html") as opened:
        opened.wait_for_function(f"({BRIGHTNESS})({canvas!r}) > 10")
        seen = {opened.evaluate(shown)}

        def changes(act):
            act()
            opened.wait_for_function(f"seen => !seen.includes({shown})", arg=list(seen))
            seen.add(opened.evaluate(shown))

        changes(lambda: opened.locator(canvas).first.hover(position={"x": 20, "y": 30}))
        changes(lambda: opened.get_by_label("z across").press("ArrowRight"))
        changes(lambda: opened.get_by_role("button", name="Other z").click())
        before = opened.evaluate(shown)
        changes(lambda: opened.get_by_role("radio", name="7").check())
        assert opened.get_by_label("epochs of training").is_disabled()
        opened.get_by_role("radio", name="any").check()
        opened.wait_for_function(f"before => before === {shown}", arg=before)
        changes(lambda: opened.get_by_label("epochs of training").press("Home"))
        assert opened.evaluate(BRIGHTNESS, canvas) > 100


PICTURES = {f"{name}.png" for name in ("digits", "between", "samples", "gradient", "losses", "verdicts")}
CONTROLS = """[...document.querySelectorAll(".lab :is(button, input, select, a)")]
    .filter(e => !e.disabled && e.getClientRects().length && !(e.type === "radio" && !e.checked)).length"""
FRAMES = """milliseconds => new Promise(resolve => { let frames = 0;
    const watch = new MutationObserver(() => frames++);
    watch.observe(document.querySelector(".lab-numbers output"), { childList: true });
    lab.play(); setTimeout(() => resolve(frames), milliseconds); })"""


def test_pictures_can_be_taken_along_keys_reach_everything_and_motion_can_be_less(browser, address):
    with lab(browser, address, reduced_motion="reduce") as opened:
        names = set()
        for button in opened.locator(".lab-png").all():
            with opened.expect_download() as download:
                button.click()
            names.add(download.value.suggested_filename)
            image = Image.open(io.BytesIO(download.value.path().read_bytes()))
            assert image.format == "PNG" and image.width >= 480
        assert names == PICTURES
        # a group of radio buttons counts once; what is switched off, not at all
        wanted, reached = opened.evaluate(CONTROLS), 1
        opened.locator("#lab-sampling button").first.focus()
        for _ in range(wanted + 5):
            opened.keyboard.press("Tab")
            reached += opened.evaluate("!!document.activeElement.closest('.lab')")
        assert reached == wanted > 30
        assert opened.evaluate(FRAMES, 3000) <= 4  # a picture a second, where else there are ten


def test_it_is_light_and_without_javascript_says_what_one_would_see(browser, address, site):
    "Room one with all its epochs in 700 kB, the whole page in 2.5 MB; its modules are loaded by this page alone."
    with tab(browser, address, "go_on/lab.html", java_script_enabled=False) as opened:
        text = opened.locator("#lab-training").inner_text()
        assert "JavaScript" in text and "자바스크립트" in text and opened.locator("main img").count() >= 1
    page = site / "go_on" / "lab.html"
    files = {path.name: path.stat().st_size for path in (site / "assets" / "lab").iterdir()}
    shared = sum((site / "assets" / name).stat().st_size for name in ("site.css", "math.woff2"))
    whole = page.stat().st_size + sum(files.values()) + shared
    only_two = {"gan.js", "worker.js", "digits.bin", "conditional.bin", "kernels.ts"}
    room_one = sum(size for name, size in files.items() if name not in only_two)
    assert room_one <= 700_000 and whole <= 2_500_000, (room_one, whole)
    loading = re.compile(r"assets/lab/[\w.]+js")
    assert [path for path in site.rglob("*.html") if loading.search(path.read_text("utf-8"))] == [page]
