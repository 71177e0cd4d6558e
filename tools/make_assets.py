"""Make what the site shows besides the chapters: its social card, and the font of its formulas.

    python tools/make_assets.py card            # needs Chromium and Playwright (the extra `browser`)
    python tools/make_assets.py font FILE.otf   # STIX Math, from Debian's fonts-stix; needs brotli

The results are in nbs/assets and are committed; this file says how they came about.
"""

import base64
import shutil
import sys
from pathlib import Path

from chapters import NOTEBOOKS, read
from finish_site import figures

from learning_gan.core.style import COLORS

ASSETS = NOTEBOOKS / "assets"

FONT_RANGES = (
    "U+0020-007E,U+00A0,U+00AC,U+00B1,U+00B7,U+00D7,U+00F7,U+02C6,U+02DC,U+0302,U+0303,U+0304,U+0391-03A9,U+03B1-03C9,"
    "U+03D1,U+03D5,U+03F5,U+2013,U+2016,U+2026,U+2032-2033,U+203E,U+2061-2064,U+2102,U+210E,U+2112,U+2113,U+2115,"
    "U+2119,U+211D,U+2124,U+2190-2195,U+21A6,U+21D0-21D4,U+2200-220B,U+220F-2213,U+2216-221E,U+2223-222B,U+223C,"
    "U+2243,U+2245,U+2248,U+2260-2265,U+226A-226B,U+2282-2287,U+2295-2299,U+22A4-22A5,U+22C5-22C6,U+22EE-22F1,"
    "U+2308-230B,U+239B-23AD,U+23DE-23DF,U+27E8-27E9,U+1D400-1D433,U+1D434-1D467,U+1D49C-1D4CF,U+1D538-1D551,"
    "U+1D6A8-1D6E1,U+1D6E2-1D71B"
)


def results() -> str:
    "The picture of results on the home page, as a data URI."
    drawn = (data for *_, data in figures(read("index.ipynb")))
    return f"data:image/png;base64,{base64.b64encode(next(drawn)).decode()}"


def card() -> None:
    "Write nbs/assets/card.png, a page of 1200 by 630 pixels."
    from playwright.sync_api import sync_playwright

    mark = base64.b64encode((ASSETS / "favicon.svg").read_bytes()).decode()
    text = f"""<!doctype html><meta charset="utf-8"><style>
    body {{ margin: 0; width: 1200px; height: 630px; box-sizing: border-box; padding: 56px 64px; background: #14171b;
           color: #fff; font-family: "Noto Sans CJK KR", "Apple SD Gothic Neo", "Malgun Gothic", sans-serif;
           border-top: 12px solid; border-image: linear-gradient(90deg, {COLORS["generator"]}, {COLORS["discriminator"]},
           {COLORS["real"]}) 1; }}
    h1 {{ font-size: 64px; margin: 0 0 8px; display: flex; align-items: center; gap: 24px; }}
    p {{ font-size: 30px; margin: 0 0 30px; color: #c8ced6; }} img.mark {{ width: 72px; }}
    div {{ height: 330px; overflow: hidden; }} img.results {{ width: 1072px; }}
    </style><h1><img class="mark" src="data:image/svg+xml;base64,{mark}">GAN 배우기 · Learning GAN</h1>
    <p>잡음에서 숫자까지, 노트북으로 · From noise to digits, in notebooks</p>
    <div><img class="results" src="{results()}"></div>"""
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1200, "height": 630})
        page.set_content(text)
        page.screenshot(path=ASSETS / "card.png")
        browser.close()


def font(path: Path) -> None:
    "Write nbs/assets/math.woff2: the characters that formulas use, under another name, as the font's licence asks."
    from fontTools import subset
    from fontTools.ttLib import TTFont

    target = ASSETS / "math.woff2"
    features = "--layout-features=ssty,dtls,flac,kern"
    options = [f"--unicodes={FONT_RANGES}", features, "--drop-tables+=FFTM", "--flavor=woff2"]
    subset.main([str(path), *options, f"--output-file={target}"])
    small = TTFont(target)
    for record in small["name"].names:
        if record.nameID in (1, 3, 4, 6, 16):
            record.string = "LearningGANMath" if record.nameID == 6 else "Learning GAN Math"
    small["CFF "].cff.fontNames[0] = "LearningGANMath"
    small.save(target)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["font", file]:
            font(Path(file))
        case ["card"]:
            card()
        case _:
            sys.exit(__doc__)
