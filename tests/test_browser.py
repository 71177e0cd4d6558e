"""The built site as a reader meets it, in Chromium."""

import json
import re
from importlib.resources import files

import pytest
from chapters import page_name, reading_order
from in_browser import MARKS, tab

pytestmark = MARKS
PAGES = [*map(page_name, reading_order())]
LOSSES = "build/losses.html"  # with formulas, figures, code and its documentation
# One page of each kind: what axe finds, it finds in what they are made of.
KINDS = ["index", "build/losses", "measure/diagnosis", "go_on/lab", "machine/commands", "404"]
OTHER = {"ko": "en", "en": "ko"}
# What a reader sees: text that takes up room. A page is in one language when none of the other is seen.
SEEN = """language => [...document.querySelectorAll(`[lang="${language}"]:not(html)`)]
    .filter(e => e.getClientRects().length && e.textContent.trim()).length"""
LUMINANCE = """name => { const [r, g, b] = getComputedStyle(document.body)[name].match(/[\\d.]+/g).map(Number);
    return .299 * r + .587 * g + .114 * b }"""
FONT = "[...document.fonts].some(f => f.family.includes('Learning GAN Math') && f.status === 'loaded')"
STYLE = "([selector, name]) => { const e = document.querySelector(selector); return e && getComputedStyle(e)[name] }"
PHONE = {"width": 360, "height": 740}
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def mode(opened) -> str:
    return opened.evaluate("document.documentElement.dataset.lang")


def button(opened, language: str):
    return opened.locator(f'.lang-switch button[data-mode="{language}"]')


def shows_one_language(opened) -> list[str]:
    "What is wrong with the switch: it must hide exactly the other language, and the page must fit its window."
    found = []
    for wanted in ("ko", "en", "both"):
        opened.evaluate("wanted => learningGan.show(wanted)", wanted)  # as the buttons do
        for language, other in OTHER.items():
            if (opened.evaluate(SEEN, language) > 3) != (wanted in (language, "both")):
                found.append(f"in {wanted}, {language} is seen or is not")
            if wanted == other and opened.evaluate(SEEN, language):
                found.append(f"in {wanted}, some {language} is seen")
        if (beyond := opened.evaluate(SIDEWAYS)) > 0:
            found.append(f"in {wanted}, the page scrolls {beyond} pixels sideways")
        if wanted != "both" and opened.evaluate("document.documentElement.lang") != wanted:
            found.append(f"in {wanted}, the page calls itself something else")
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
    context = {"include": [["html"]], "exclude": [] if LOSSES in opened.url else [["pre span"]]}
    run = "([context, options]) => axe.run(context, options)"
    return [
        f"{scheme}: {found['id']}: {found['help']}: {[node['html'][:120] for node in found['nodes'][:3]]}"
        for found in opened.evaluate(run, [context, options])["violations"]
        if found["impact"] in ("serious", "critical")
    ]


def test_every_page_shows_one_language_at_a_time_and_fits_a_phone(browser, address):
    "And it makes no error, and fetches nothing from elsewhere: `tab` sees to that."
    found = []
    with tab(browser, address, viewport=PHONE) as opened:
        for page in PAGES:
            opened.goto(address + page)
            found += [f"{page}: {what}" for what in shows_one_language(opened)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", KINDS)
def test_a_page_of_each_kind_is_accessible_in_both_schemes(browser, site, address, page):
    text = (site / f"{page}.html").read_text(encoding="utf-8")
    with tab(browser, address, color_scheme="light") as opened:
        if page == "404":
            opened.set_content(text.replace('<base href="/learning_gan/">', f'<base href="{address}">'))
        else:
            opened.goto(f"{address}{page}.html")
        found = shows_one_language(opened)
        for scheme, language in (("light", "ko"), ("dark", "en")):
            button(opened, language).click()
            opened.emulate_media(color_scheme=scheme)
            found += follows_the_scheme(opened, scheme) + serious_violations(opened, scheme)
        if opened.locator("math").count() and not opened.evaluate(FONT):
            found.append("formulas are not in their font")
        assert not found, "\n".join(found)


def test_the_look_on_a_phone_and_in_the_dark_and_its_menu(browser, address):
    "Links in tables break between words, comments are paler than code, what goes on has a shadow at its edge."

    def style(*of):
        return opened.evaluate(STYLE, of)

    with tab(browser, address, "read/tips.html", color_scheme="dark", viewport=PHONE) as opened:
        assert style("main table", "backgroundImage").count("linear-gradient") == 4
        assert style("main tbody td", "backgroundColor") == "rgba(0, 0, 0, 0)"
        assert style("main table a", "wordBreak") != "break-all"
        opened.goto(address + "measure/diagnosis.html")
        assert opened.locator("img[data-wide]").first.bounding_box()["width"] > 500  # one can read its words
        assert style(":has(> img[data-wide])", "backgroundImage").count("linear-gradient") == 4
        opened.goto(address + LOSSES)
        assert style("pre.sourceCode span.co", "color") != style("pre.sourceCode code", "color")
        opened.locator(".quarto-btn-toggle").first.click()
        opened.wait_for_function("document.querySelector('#quarto-sidebar').getBoundingClientRect().x >= 0")
        opened.locator("#quarto-sidebar a.sidebar-link:visible").nth(2).click()
        opened.wait_for_url(lambda url: LOSSES not in url)


def test_scheme_and_language_are_the_browsers_at_first_and_then_those_that_were_chosen(browser, address):
    "By a button or its key, after a change of pages and a reload, or by the address."
    for locale, expected in [("ko-KR", "ko"), ("fr-FR", "en")]:
        with tab(browser, address, locale=locale) as opened:
            assert mode(opened) == expected
    background = "getComputedStyle(document.body).backgroundColor"
    with tab(browser, address, locale="en-GB", color_scheme="light") as opened:
        assert mode(opened) == "en"
        light = opened.evaluate(background)
        opened.locator(".quarto-color-scheme-toggle").first.click()
        opened.wait_for_function(f"{background} !== {json.dumps(light)}")
        dark = opened.evaluate(background)
        button(opened, "ko").focus()
        opened.keyboard.press("Enter")
        opened.locator("#quarto-sidebar a.sidebar-link:visible").nth(2).click()
        opened.wait_for_load_state()
        assert not opened.url.endswith("index.html") and mode(opened) == "ko"
        opened.reload()
        assert (mode(opened), opened.evaluate(SEEN, "en"), opened.evaluate(background)) == ("ko", 0, dark)
        assert opened.locator('.lang-switch [aria-pressed="true"]').get_attribute("data-mode") == "ko"
        for page, expected in [(f"{LOSSES}?lang=en", "en"), (f"{LOSSES}?lang=ko", "ko"), (PAGES[2], "ko")]:
            opened.goto(address + page)
            assert mode(opened) == expected, "a language asked for once is remembered"


def test_titles_and_texts_follow_the_switch_and_without_scripts_both_languages_show(browser, address):
    hangul = re.compile("[가-힣]")
    with tab(browser, address, "index.html") as opened:
        picture, copy = opened.locator("main figure img").first, opened.locator(".code-copy-button").first
        for language in ("en", "ko"):
            button(opened, language).click()
            said = opened.title(), picture.get_attribute("alt"), copy.get_attribute("title")
            assert [bool(hangul.search(text)) for text in said] == [language == "ko"] * 3
            assert not any(" / " in text for text in said)
    with tab(browser, address, LOSSES, java_script_enabled=False) as opened:
        assert all(opened.locator(f'main div[lang="{language}"]').first.is_visible() for language in OTHER)


SOUGHT = [("ko", "equilibrium"), ("en", "잠재 벡터"), ("ko", "교차 엔트로피")]


@pytest.mark.parametrize(("language", "word"), SOUGHT)
def test_search_leads_to_what_was_sought(browser, address, language, word):
    "A word of either language is found whichever is shown, and can be seen where its result leads."
    seen = """word => { const w = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
        while (w.nextNode()) { const e = w.currentNode.parentElement;
            if (w.currentNode.data.toLowerCase().includes(word) && e.getClientRects().length) return true }
        return false }"""
    with tab(browser, address, f"{LOSSES}?lang={language}") as opened:  # from a folder, as most pages are
        opened.locator("#quarto-search input").fill(word)
        result = opened.locator("a.search-result, a.search-result-link").first
        result.wait_for()
        assert " / " not in result.locator(".search-result-title").inner_text(), "titles follow the switch"
        result.click()
        opened.wait_for_url(lambda url: "?lang" not in url)
        opened.wait_for_load_state()
        assert opened.evaluate(seen, word.lower())
        opened.goto(address + PAGES[1])
        assert mode(opened) == language, "showing both for a search is not a choice to remember"
