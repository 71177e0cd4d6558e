"""The lab in Chromium: its arithmetic is the package's, its dials work, and it stays within its bounds."""

import gzip
import io
import json
import math
import re
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from in_browser import MARKS, tab
from PIL import Image
from test_browser import serious_violations, shows_one_language

from learning_gan.core.backend import keras, tf
from learning_gan.measure import records as rules
from learning_gan.measure.diagnosis import diagnose
from learning_gan.measure.measures import check_images, describe, neighbour_scores
from learning_gan.parts.data import to_unit_range
from learning_gan.parts.inputs import SAMPLE, latents
from learning_gan.parts.losses import Loss, cross_entropy, discriminator_loss, generator_loss
from learning_gan.parts.recipes import recipe
from learning_gan.parts.syllables import KINDS, split, text_of
from learning_gan.run.sampling import latent_path
from learning_gan.run.signs import signs_of_images
from learning_gan.run.training import GAN, build_gan
from learning_gan.trials.changes import from_json
from learning_gan.trials.studies import load_results

pytestmark = [*MARKS, pytest.mark.lab]

SETTINGS = {"alpha": 0.01, "smooth": 0.1, "beta_1": 0.5, "d_rate": 0.002, "g_rate": 0.002, "average": 0}
DENSE = {"w1": (100, 128), "b1": (128,), "w2": (128, 784), "b2": (784,)}
TOLD = {"conditional": (20, (10,), 7, (128, 64, 1)), "hangul": (16, KINDS, 4, (192, 96, 48, 1))}
BRIGHTNESS = """selector => { const canvas = document.querySelector(selector), { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    let sum = 0, count = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i + 3]) { sum += data[i]; count++; }
    return sum / count }"""
SCORE = re.compile(r"coverage (0\.\d\d) \(real images (0\.\d\d)\), \d+ digits")
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


def drawn(opened, canvas: str, brightness: int = 10):
    opened.wait_for_selector(canvas)
    opened.wait_for_function(f"({BRIGHTNESS})({canvas!r}) > {brightness}")


def stored(site, name: str, shapes) -> list[np.ndarray]:
    "The weights in a file of the lab."
    data, at, arrays = gzip.decompress((site / "assets" / "lab" / name).read_bytes()), 0, []
    for shape in shapes:
        count, step = int(np.prod(shape)), np.frombuffer(data, "<f4", 1, at)[0]
        arrays.append((np.frombuffer(data, np.int8, count, at + 4) * step).astype(np.float32).reshape(shape))
        at += 4 + count
    assert at == len(data)
    return arrays


def convolutional(site, name: str, told, side: int, channels) -> np.ndarray:
    "What a generator that is told draws, by Keras, of the weights in its file."
    first = side * side * channels[0]
    shapes = [(told.shape[1], first), (first,)]
    shapes += [shape for before, after in pairwise(channels) for shape in ((4, 4, after, before), (after,))]
    w, b, *others = stored(site, f"{name}.bin", shapes)
    h = (told @ w + b).reshape(-1, side, side, channels[0])
    for w, b in zip(others[::2], others[1::2], strict=True):
        h = keras.ops.conv_transpose(np.maximum(h, 0), w, strides=2, padding="same") + b
    return np.tanh(h)


def generators(opened, site) -> None:
    z = latents(0, 0, 64, 100, SAMPLE).numpy()
    generator = build_gan(recipe("steady"), 0).generator
    for epoch in (0, 20):
        generator.set_weights(stored(site, f"epoch_{epoch}.bin", DENSE.values()))
        draw = "const draw = await m.afterEpoch(given[0]); return [...draw(Float32Array.from(given[1]))]"
        images = in_page(opened, "generators.js", draw, [epoch, z.ravel().tolist()])
        np.testing.assert_allclose(images, np.ravel(generator(z)), atol=1e-5)
    draw = (
        "const draw = await m[given[0]](); return [...draw(...given.slice(1).map(x => Float32Array.from(x)))]"
    )
    for name, (own, kinds, side, channels) in TOLD.items():
        labels = np.concatenate([np.eye(n, dtype="float32")[np.arange(64) * 7 % n] for n in kinds], axis=1)
        images = in_page(opened, "generators.js", draw, [name, z.ravel().tolist(), labels.ravel().tolist()])
        told = np.concatenate([z[:, :own], labels], axis=1)
        np.testing.assert_allclose(images, convolutional(site, name, told, side, channels).ravel(), atol=1e-5)


RULED = """await m.load();
    const all = Float32Array.from(given), lots = [0, 1, 2].map(i => m.describe(all.subarray(i * 313600, (i + 1) * 313600)));
    const reach = m.radii(lots[0].features), cover = lots.slice(1).map(({ features }) => m.coverage(lots[0].features, reach, features));
    return [cover, lots.map(({ digits }) => [...digits])]"""


def test_its_ruler_sees_what_that_of_the_package_sees(browser, address, digits):
    "Coverage of real images by others and by what is hardly a digit, and the digits in them, after the rounding."
    images = check_images(np.random.default_rng(0).permutation(digits.train.images)[:1200])
    images[800:] = (images[:400] + images[800:]) / 2
    (real, other, mixed), odds = (np.split(part, 3) for part in describe(images))
    expected = [neighbour_scores(real, fake)["coverage"] for fake in (other, mixed)]
    with tab(browser, address, "go_on/lab.html") as opened:
        found, read = in_page(opened, "measures.js", RULED, images.ravel().tolist())
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert expected[0] > 0.95 > 0.75 > expected[1]
    assert (np.array(read) == np.argmax(odds, axis=2)).mean(axis=1).min() > 0.97


IN_THE_PAGE = {"diverged", "d_idle", "cycling", "collapse", "partial_collapse", "d_wins", "undertrained"}
DIAGNOSED = "return given.map(record => m.diagnose(record).map(({ name, sure }) => [name, sure]))"
SIGNS = "return m.signs(...given.map(images => Float32Array.from(images)))"


def records():
    "Those of chapter 21, whole and cut, and two with endless losses: of failures that the page can see, or of none."
    kept = [
        from_json(each) for some in load_results("failures")["records"].values() for each in some.values()
    ]
    endless = [
        replace(kept[0], series=kept[0].series | {"d_loss": kept[0]["d_loss"] * by}) for by in (1e4, math.inf)
    ]
    for record in [cut for each in kept for cut in (each, each.until(2), each.until(5))] + endless:
        found = [[finding.name, finding.sure] for finding in diagnose(record)]
        if record.updates and record.knows("g_loss") and {name for name, _ in found} <= IN_THE_PAGE:
            yield record, found


def as_told(record) -> dict:
    "A record as the page has it."
    names = ("d_loss", "g_loss", "variety", "twins", "roughness", "movement")
    told = {
        "updates": record.updates,
        "crossEntropy": rules.cross_entropy(record.loss),
        "levels": [{"d": d, "g": g} for d, g in rules.levels(record.loss)],
    }
    return told | {name: record[name].tolist() for name in names}


def test_its_diagnosis_is_that_of_the_package(browser, address):
    "The same signs of the same images, and the same findings in each record that the page could have."
    before, now = np.random.default_rng(0).normal(size=(2, 16, 28, 28, 1)).astype("float32")
    known, expected = zip(*records(), strict=True)
    with tab(browser, address, "go_on/lab.html") as opened:
        signs = in_page(opened, "diagnosis.js", SIGNS, [now.ravel().tolist(), before.ravel().tolist()])
        found = in_page(opened, "diagnosis.js", DIAGNOSED, [as_told(record) for record in known])
    np.testing.assert_allclose(
        list(signs.values()), [signs_of_images(now, before)[name] for name in signs], rtol=1e-3
    )
    assert found == list(expected)
    assert {name for each in expected for name, _ in each} == IN_THE_PAGE and not all(expected)


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
        drawn(opened, SAMPLES, 100)
        opened.evaluate("lab.play()")
        reach(opened, 300)
        opened.evaluate("lab.pause()")
        opened.wait_for_function(STILL)
        done = opened.evaluate("lab.updates")
        assert opened.evaluate(BRIGHTNESS, SAMPLES) < 90
        coverage, floor = SCORE.match(opened.locator(".lab-score").inner_text()).groups()
        assert float(coverage) < 0.3 and float(floor) > 0.9
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
            assert ("smooth=7" in opened.locator("#lab-training > .lab-note").inner_text()) == (query == sent)
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
        links = opened.locator(".lab-breaks a[href^='../measure/diagnosis.html#']")
        assert links.count() == 3
        reach(opened, 550)
        opened.get_by_text("most failures are not looked for before 2,500 updates").wait_for()
        opened.get_by_role("button", name="Mend it").click()
        opened.wait_for_function("lab.updates < 100")
        assert opened.locator("#lab-d_rate").input_value() == "0.002"


DRAWN = "#lab-training .lab-drawn"
PIXELS = """canvas => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data].filter((_, i) => i % 4 === 0)"""


def by_keys(opened, times: int) -> None:
    "Draw lines without a pointer, each from the middle."
    opened.locator(".lab-paper").focus()
    for number in range(times):
        for key in ("Space", *["ArrowRight"] * (3 + number % 8), "Space", "Enter"):
            opened.keyboard.press(key)


def pixels(opened, selector: str) -> np.ndarray:
    "Brightness of a canvas of digits with no gap, or of the first of them."
    return np.array(opened.locator(f"{selector} canvas").first.evaluate(PIXELS))


def test_it_trains_on_what_is_drawn_and_drawings_outlive_a_reload(browser, address):
    "By pointer and keys; a drawing lies as MNIST's digits do; too few are not enough; G then draws lines alone."
    with lab(browser, address, reduced_motion="reduce") as opened:
        drawings, note = (
            opened.locator(f"{DRAWN} button"),
            opened.locator("#lab-training .lab-controls .lab-note"),
        )
        opened.locator(".lab-paper").scroll_into_view_if_needed()
        box = opened.locator(".lab-paper").bounding_box()
        opened.mouse.move(box["x"] + 20, box["y"] + 30)
        opened.mouse.down()
        opened.mouse.move(box["x"] + 40, box["y"] + 130)
        opened.mouse.up()
        opened.get_by_role("button", name="Add", exact=True).click()
        image = pixels(opened, DRAWN).reshape(28, 28)
        assert image.any(axis=1).sum() in (20, 21) and image.max() > 200
        places = np.arange(28) + 0.5
        np.testing.assert_allclose([image.sum(axis) @ places / image.sum() for axis in (0, 1)], 14, atol=0.2)
        opened.get_by_label("learn from").select_option("alone")
        assert note.inner_text() == "Draw 15 more, and the training can begin."
        drawings.first.click()
        assert drawings.count() == 0
        opened.evaluate("lab.play()")
        reach(opened, 1)
        by_keys(opened, 16)
        opened.wait_for_function("lab.updates === 0")
        assert "your 16 drawings" in note.inner_text()
        opened.evaluate("lab.play()")
        reach(opened, 400)
        opened.evaluate("lab.pause()")
        opened.wait_for_function(STILL)
        rows = pixels(opened, "#lab-training .lab-picture").reshape(-1, 118)[:28, :28].mean(axis=1)
        assert (
            rows[12:16].mean() > 2 * rows[[*range(5, 10), *range(18, 23)]].mean()
        )  # where digits have ink as well
        opened.reload()
        opened.evaluate("lab.ready")
        assert drawings.count() == 16


# How far a pixel of one picture lies from that of the next, in the mean
APART = """canvas => { const pixels = canvas.getContext("2d").getImageData(0, 0, 58, 28).data;
    let sum = 0;
    for (let y = 0; y < 28; y++) for (let x = 0; x < 28; x++) {
        const at = 4 * (58 * y + x);
        sum += Math.abs(pixels[at] - pixels[at + 120]);
    }
    return sum / 784 }"""
FAILED = {  # what the chapter says of losses and samples
    "d_wins": lambda d, g, apart: d < 0.4 and g > 4.5,
    "d_idle": lambda d, g, apart: d > 3 and g < 0.1,
    "collapse": lambda d, g, apart: apart < 5,
}


def test_failures_happen_in_their_chapter_one_at_a_time(browser, address):
    with tab(browser, address, "measure/diagnosis.html", reduced_motion="reduce") as opened:
        for failure, happened in FAILED.items():
            piece = opened.locator(f"[data-failure={failure}]")
            piece.scroll_into_view_if_needed()
            piece.locator(".lab-row button:enabled").first.click()
            updates, _, losses = piece.locator("output").all()
            while int(updates.inner_text().replace(",", "")) < 200:
                opened.wait_for_timeout(500)
            d, g = map(float, re.findall(r"[\d.]+", losses.inner_text()))
            assert happened(d, g, piece.locator("canvas").first.evaluate(APART))
            assert opened.locator(".lab-play[aria-pressed=true]").count() == 1


DIGITS = "#lab-sampling canvas"
SHOWN = f"document.querySelector({DIGITS!r}).toDataURL()"


def test_digits_move_and_can_be_chosen(browser, address):
    "The pointer moves them, the sliders do as well, a chosen digit is drawn, and an epoch of 0 of the other is noise."
    with tab(browser, address, "go_on/lab.html", reduced_motion="reduce") as opened:
        drawn(opened, DIGITS)
        seen = {opened.evaluate(SHOWN)}

        def changes(act):
            act()
            opened.wait_for_function(f"seen => !seen.includes({SHOWN})", arg=list(seen))
            seen.add(opened.evaluate(SHOWN))

        changes(lambda: opened.locator(DIGITS).first.hover(position={"x": 20, "y": 30}))
        changes(lambda: opened.get_by_label("z across").press("ArrowRight"))
        changes(lambda: opened.get_by_role("button", name="Other z").click())
        before = opened.evaluate(SHOWN)
        changes(lambda: opened.get_by_role("radio", name="7").check())
        opened.get_by_role("radio", name="in turn").check()
        opened.wait_for_function(f"before => before === {SHOWN}", arg=before)
        assert opened.get_by_label("epochs of the").is_disabled()
        changes(lambda: opened.get_by_role("radio", name="not told").check())
        opened.get_by_label("epochs of the").press("Home")
        drawn(opened, DIGITS, 100)


def test_digits_move_by_themselves_until_they_are_stopped(browser, address):
    with tab(browser, address, "go_on/lab.html") as opened:
        drawn(opened, DIGITS)
        first = opened.evaluate(SHOWN)
        opened.wait_for_function(f"first => first !== {SHOWN}", arg=first)
        opened.locator("#lab-sampling").get_by_role("button", name="Stop").click()
        opened.wait_for_timeout(500)
        stopped = opened.evaluate(SHOWN)
        opened.wait_for_timeout(500)
        assert opened.evaluate(SHOWN) == stopped


def in_chapter(root, *names: str) -> dict:
    "What the cells of the chapter define that hold these names."
    cells = json.loads((root / "nbs" / "read" / "03_how_it_works.ipynb").read_text("utf-8"))["cells"]
    defined = {"np": np, "keras": keras}
    for name in names:
        exec("".join(next(c["source"] for c in cells if f"def {name}(" in "".join(c["source"]))), defined)
    return defined


def chapters_losses(chapter: dict, g, d, real, z, others) -> list:
    "Of updates with smoothing, by the functions of the chapter."
    d_optimizer, g_optimizer = (chapter["cooling_adam"](*each, 1000) for each in ((d, 0.01), (g, 0.002)))
    losses = []
    for real_numbers, given, other in zip(real, z, others, strict=True):
        with tf.GradientTape() as tape:
            d_loss = discriminator_loss(d(real_numbers), d(g(given)), 0.1)
        chapter["step"](d_optimizer, tape, d_loss, d)
        with tf.GradientTape() as tape:
            g_loss = generator_loss(d(g(other)))
        chapter["step"](g_optimizer, tape, g_loss, g)
        losses.append([float(d_loss), float(g_loss)])
    return losses


ONE_DIMENSION = """await (await import("../assets/lab/matrices.js")).start();
    const [g, d] = given.weights.map(all => all.map(values => Float32Array.from(values))), toy = new m.Toy({ g, d });
    return given.draws.map(draws => draws.map(draw => Float32Array.from(draw)))
        .map(([real, z, other]) => [toy.updateDiscriminator(real, z, given), toy.updateGenerator(other)])"""


def test_its_one_dimensional_gan_is_that_of_the_chapter(browser, address, root):
    "The losses of 20 updates from the same weights and numbers."
    chapter = in_chapter(root, "toy_network", "step")
    g, d = chapter["toy_gan"]()
    draws = np.random.default_rng(0).normal(size=(3, 20, 256, 1)).astype("float32")
    weights = [[weight.ravel().tolist() for weight in model.get_weights()] for model in (g, d)]
    given = {"smooth": 0.1, "d_steps": 1, "weights": weights, "draws": draws[..., 0].swapaxes(0, 1).tolist()}
    with tab(browser, address, "read/how_it_works.html") as opened:
        found = in_page(opened, "density.js", ONE_DIMENSION, given)
    np.testing.assert_allclose(found, chapters_losses(chapter, g, d, *draws), atol=1e-4)


PIECES = {  # and the keys that change a picture
    "circling": ("read/how_it_works.html", "input[type=range]", "ArrowLeft"),
    "density": ("read/how_it_works.html", ".lab-play", "Enter"),
    "advice": ("build/discriminator.html", ".lab-play + button:enabled", "Enter"),
    "plane": ("build/sampling.html", "input[type=range]", "ArrowLeft"),
    "failure": ("measure/diagnosis.html", ".lab-row button:enabled", "Enter"),
    "name": ("go_on/hangul.html", "input[type=range]", "ArrowLeft"),
}


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_stands_in_its_chapter_and_is_fetched_when_it_is_seen(browser, address, root, piece):
    page, control, key = PIECES[piece]
    fetched = []
    for scheme in ("light", "dark"):
        small = {"viewport": {"width": 360, "height": 740}, "reduced_motion": "reduce"}
        with tab(browser, address, page, color_scheme=scheme, **small) as opened:
            opened.on("request", lambda request: fetched.append(request.url))
            opened.wait_for_timeout(500)
            assert not [url for url in fetched if "assets/lab/" in url]
            opened.locator(f"[data-lab={piece}]").first.scroll_into_view_if_needed()
            canvas = f"[data-lab={piece}] canvas"
            drawn(opened, canvas)
            shown = f"document.querySelector({canvas!r}).toDataURL()"
            before = opened.evaluate(shown)
            opened.locator(f"[data-lab={piece}] {control}").first.press(key)
            opened.wait_for_function(f"before => before !== {shown}", arg=before)
            assert not serious_violations(opened, scheme)
            assert not shows_one_language(opened)
            if piece == "circling":
                for momentum, penalty in ((0.9, 0.0), (0.5, 0.3)):
                    body = "return m.path({ momentum: given[0], penalty: given[1] })"
                    found = in_page(opened, "circling.js", body, [momentum, penalty])
                    np.testing.assert_allclose(
                        found, in_chapter(root, "smallest_gan")["smallest_gan"](momentum, penalty), atol=1e-9
                    )
            assert any(url.endswith(f"{piece}.js") for url in fetched)
        fetched.clear()


def test_a_name_is_written_and_what_was_never_shown_is_marked(browser, address):
    "Syllables that are held out, and one that is no part of the standard; what is no syllable is passed over."
    canvas, (_, unseen) = "#lab-name canvas", map(text_of, split())
    with tab(browser, address, "go_on/lab.html", reduced_motion="reduce") as opened:
        opened.locator("#lab-name").scroll_into_view_if_needed()
        drawn(opened, canvas)
        before = opened.evaluate(f"document.querySelector({canvas!r}).width")
        opened.locator("#lab-name input").first.fill(f"가A {unseen[0]}\u1112\u1161\u11ab뷁{unseen[-1]}")
        opened.wait_for_function(f"before => document.querySelector({canvas!r}).width < before", arg=before)
        said = opened.locator("#lab-name .lab-note").first.inner_text()
        assert said == f"Never shown in the training: {unseen[0]} 뷁 {unseen[-1]}"


PICTURES = {
    f"{name}.png"
    for name in [
        "digits",
        "between",
        "samples",
        "gradient",
        "losses",
        "verdicts",
        "coverage",
        "counts",
        "name",
    ]
}
CONTROLS = """[...document.querySelectorAll(".lab :is(button, input, select, a, canvas[tabindex])")]
    .filter(e => !e.disabled && e.getClientRects().length && !(e.type === "radio" && !e.checked)).length"""
FRAMES = """milliseconds => new Promise(resolve => { let frames = 0;
    const watch = new MutationObserver(() => frames++);
    watch.observe(document.querySelector(".lab-numbers output"), { childList: true });
    lab.play(); setTimeout(() => resolve(frames), milliseconds); })"""


def test_pictures_can_be_taken_along_keys_reach_everything_and_motion_can_be_less(browser, address):
    with lab(browser, address, reduced_motion="reduce") as opened:
        opened.locator("#lab-name").scroll_into_view_if_needed()
        drawn(opened, "#lab-name canvas")
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
        for _ in range(wanted + 20):  # links in the text between
            opened.keyboard.press("Tab")
            reached += opened.evaluate("!!document.activeElement.closest('.lab')")
        assert reached == wanted > 30
        assert opened.evaluate(FRAMES, 3000) <= 4  # a picture a second, where else there are ten


def test_it_is_light_and_without_javascript_says_what_one_would_see(browser, address, site):
    "The lab's page with everything in 2.5 MB; other chapters load no more than the loader before a piece is seen."
    with tab(browser, address, "go_on/lab.html", java_script_enabled=False) as opened:
        text = opened.locator("#lab-training").inner_text()
        assert "JavaScript" in text and "자바스크립트" in text and opened.locator("main img").count() >= 1
    page = site / "go_on" / "lab.html"
    files = [
        *(site / "assets" / "lab").iterdir(),
        *(site / "assets" / name for name in ("site.css", "math.woff2")),
    ]
    assert (whole := sum(path.stat().st_size for path in [page, *files])) <= 2_500_000, whole
    loading = re.compile(r"assets/lab/([\w.-]+js)")
    loaded = {path: set(loading.findall(path.read_text("utf-8"))) for path in site.rglob("*.html")}
    assert loaded.pop(page) == {"lab.js", "room-two.js"} and {*map(tuple, loaded.values())} == {
        (),
        ("lab.js",),
    }
