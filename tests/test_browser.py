"""The built site as a reader meets it, in Chromium."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from in_browser import MARKS, tab

pytestmark = MARKS
ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(re.sub(r"^\d+_", "", path.stem) + ".html" for path in (ROOT / "nbs").glob("*.ipynb"))
OTHER = {"ko": "en", "en": "ko"}
# What a reader sees: text that takes up room. A page is in one language when none of the other is seen.
SEEN = """language => [...document.querySelectorAll(`[lang="${language}"]:not(html)`)]
    .filter(e => e.getClientRects().length && e.textContent.trim()).length"""
LUMINANCE = """name => { const [r, g, b] = getComputedStyle(document.body)[name].match(/[\\d.]+/g).map(Number);
    return .299 * r + .587 * g + .114 * b }"""
MATH_FONT = (
    """[...document.fonts].some(f => f.family.includes("Learning GAN Math") && f.status === "loaded")"""
)
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def mode(opened) -> str:
    return opened.evaluate("document.documentElement.dataset.lang")


def press(opened, wanted: str) -> None:
    opened.locator(f'.lang-switch button[data-mode="{wanted}"]').click()


def shows_one_language(opened) -> list[str]:
    "What is wrong with the switch: it must hide exactly the other language, and say so to a screen reader."
    found = []
    for language, other in OTHER.items():
        press(opened, language)
        if opened.evaluate(SEEN, other) or opened.evaluate(SEEN, language) <= 3:
            found.append(f"in {language}, {other} is seen or {language} is not")
        if opened.evaluate("document.documentElement.lang") != language:
            found.append(f"in {language}, the page calls itself something else")
    press(opened, "both")
    if not all(opened.evaluate(SEEN, language) > 3 for language in OTHER):
        found.append("in both, one is missing")
    return found


def fits_a_phone(opened) -> list[str]:
    opened.set_viewport_size({"width": 360, "height": 740})
    found = []
    for wanted in ("ko", "en", "both"):
        press(opened, wanted)
        if (beyond := opened.evaluate(SIDEWAYS)) > 0:
            found.append(f"at 360 pixels the page scrolls {beyond} pixels sideways in {wanted}")
    opened.set_viewport_size({"width": 1300, "height": 900})
    return found


def follows_the_scheme(opened, scheme: str) -> list[str]:
    "A light page has dark text, a dark page light text; a busy machine may take a moment to draw it anew."
    for _ in range(20):
        opened.wait_for_timeout(200)
        back, ink = (opened.evaluate(LUMINANCE, name) for name in ("backgroundColor", "color"))
        if (back < 60 and ink > 180) if scheme == "dark" else (back > 240 and ink < 90):
            return []
    return [f"{scheme}: background {back:.0f}, text {ink:.0f}"]


def serious_violations(opened, scheme: str) -> list[str]:
    "What axe-core finds serious or critical; in the dark, of what depends on colours."
    if not opened.evaluate("'axe' in window"):
        opened.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"]}
    if scheme == "dark":
        options["runOnly"] = ["color-contrast", "link-in-text-block"]
    # Colours of code are the same everywhere and slow to check: they are checked on one page.
    context = {"include": [["html"]], "exclude": [] if opened.url.endswith("losses.html") else [["pre span"]]}
    found = opened.evaluate("([context, options]) => axe.run(context, options)", [context, options])[
        "violations"
    ]
    return [
        f"{scheme}: {v['id']}: {v['help']}: {[node['html'][:120] for node in v['nodes'][:3]]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("page", PAGES)
def test_page(browser, address, page):
    "No error, nothing from elsewhere, one language at a time, room on a phone, both schemes, nothing serious for axe."
    with tab(browser, address, page, color_scheme="light") as opened:
        found = shows_one_language(opened) + fits_a_phone(opened)
        for scheme in ("light", "dark"):
            opened.emulate_media(color_scheme=scheme)
            found += follows_the_scheme(opened, scheme) + serious_violations(opened, scheme)
        if opened.locator("math").count() and not opened.evaluate(MATH_FONT):
            found.append("formulas are not in their font")
        assert not found, "\n".join(found)


def test_scheme_can_be_chosen(browser, address):
    background = "getComputedStyle(document.body).backgroundColor"
    with tab(browser, address, color_scheme="light") as opened:
        light = opened.evaluate(background)
        opened.locator(".quarto-color-scheme-toggle").first.click()
        opened.wait_for_function(f"{background} !== {json.dumps(light)}")
        dark = opened.evaluate(background)
        opened.goto(address + PAGES[0])
        assert opened.evaluate(background) == dark


def test_first_visit_follows_the_browser(browser, address):
    for locale, expected in (("ko-KR", "ko"), ("en-US", "en"), ("fr-FR", "en")):
        with tab(browser, address, locale=locale) as opened:
            assert mode(opened) == expected


def test_choice_survives_a_page_change_and_a_reload(browser, address):
    with tab(browser, address, locale="en-GB") as opened:
        press(opened, "ko")
        opened.locator("#quarto-sidebar a.sidebar-link:visible").nth(2).click()
        opened.wait_for_load_state()
        assert not opened.url.endswith("index.html") and mode(opened) == "ko"
        opened.reload()
        assert mode(opened) == "ko" and opened.evaluate(SEEN, "en") == 0
        assert opened.locator('.lang-switch [aria-pressed="true"]').get_attribute("data-mode") == "ko"


def test_address_decides_the_language(browser, address):
    with tab(browser, address, "losses.html?lang=ko") as opened:
        assert mode(opened) == "ko"
        opened.goto(address + "losses.html?lang=en")
        assert mode(opened) == "en"
        opened.goto(address + "generator.html")
        assert mode(opened) == "en", "a language asked for once is remembered"


def test_titles_and_alternative_texts_follow_the_switch(browser, address):
    hangul = re.compile("[가-힣]")
    with tab(browser, address, "index.html") as opened:
        picture = opened.locator("main figure img").first
        press(opened, "en")
        assert not hangul.search(opened.title() + picture.get_attribute("alt"))
        press(opened, "ko")
        assert hangul.search(opened.title()) and hangul.search(picture.get_attribute("alt"))
        assert " / " not in opened.title() + picture.get_attribute("alt")


def test_without_scripts_both_languages_show(browser, address):
    with tab(browser, address, "losses.html", java_script_enabled=False) as opened:
        for language in OTHER:
            shown = opened.locator(f'main div[lang="{language}"]').first
            assert shown.is_visible()


@pytest.mark.parametrize(
    ("language", "word"),
    [("ko", "generator"), ("en", "잠재 벡터"), ("ko", "교차 엔트로피"), ("en", "equilibrium")],
)
def test_search_leads_to_what_was_sought(browser, address, language, word):
    "A word of either language is found whichever is shown, and can be seen where its result leads."
    seen = """word => { const w = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
        while (w.nextNode()) { const e = w.currentNode.parentElement;
            if (w.currentNode.data.toLowerCase().includes(word) && e.getClientRects().length) return true }
        return false }"""
    with tab(browser, address, f"index.html?lang={language}") as opened:
        opened.locator("#quarto-search input").fill(word)
        result = opened.locator("a.search-result, a.search-result-link").first
        result.wait_for()
        assert " / " not in result.locator(".search-result-title").inner_text(), "titles follow the switch"
        result.click()
        opened.wait_for_url(lambda url: "index.html?lang" not in url)
        opened.wait_for_load_state()
        assert opened.evaluate(seen, word.lower())
        opened.goto(address + "losses.html")
        assert mode(opened) == language, "showing both for a search is not a choice to remember"


def test_keyboard_reaches_the_switch(browser, address):
    with tab(browser, address, "losses.html") as opened:
        button = opened.locator('.lang-switch button[data-mode="ko"]')
        button.focus()
        opened.keyboard.press("Enter")
        assert mode(opened) == "ko"


def test_phone_menu_opens_the_chapters(browser, address):
    with tab(browser, address, "losses.html", viewport={"width": 360, "height": 740}) as opened:
        sidebar = opened.locator("#quarto-sidebar")
        opened.locator(".quarto-btn-toggle").first.click()
        opened.wait_for_timeout(400)
        assert sidebar.bounding_box()["x"] >= 0
        opened.locator("#quarto-sidebar a.sidebar-link:visible").nth(2).click()
        opened.wait_for_url(lambda url: "losses.html" not in url)
