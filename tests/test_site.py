"""The site that smalldocs makes of the chapters, or Quarto; the browser's view is in test_browser.py."""

import ast
import json
import os
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import finish_site
import pytest
from chapters import NOTEBOOKS, ROOT, page_name, published, read, reading_order
from PIL import Image

ORDER = [page_name(name) for name in reading_order()]


class Page(HTMLParser):
    "What a page has: ids, links, and whatever the browser fetches by itself."

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.fetched, self.images = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if values.get("id") and tag != "link":  # Quarto gives its style sheets an id more than once
            self.ids.append(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.fetched.append(values["href"])
        if tag in ("img", "script", "iframe", "video", "source") and values.get("src"):
            self.fetched.append(values["src"])
        if tag == "img":
            self.images.append(values)


@pytest.fixture(scope="session")
def pages(site) -> dict[str, str]:
    "The text of each page, by its address within the site."
    found = {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")}
    return {page: text for page, text in found.items() if not page.startswith(("404", "assets/"))}


@pytest.fixture(scope="session")
def parsed(pages):
    return cache(lambda page: Page(pages[page]))


@pytest.fixture(scope="session")
def every(pages, parsed, site):
    "Holds every page to a rule: `broken(page, text, parsed)` says where it is broken; a page's file is found by `at`."

    def every(broken) -> None:
        found = [
            f"{page}: {what}" for page, text in pages.items() for what in broken(page, text, parsed(page))
        ]
        assert not found, "\n".join(found)

    every.at = lambda page, address: site / Path(page).parent / unquote(urlsplit(address).path)
    return every


def words(text: str, *without: str) -> str:
    "A page without some of its elements."
    return re.sub(rf"<({'|'.join(without)})\b.*?</\1>", "", text, flags=re.S)


IDS = re.compile(r'<(?:section|h\d)[^>]*\bid="([^"]+)"')


def test_both_builders_read_the_same(site, pages):
    "Pandoc, which Quarto renders with, finds the same headings, blocks, lists, tables and formulas as smalldocs."
    pypandoc = pytest.importorskip("pypandoc", reason="pypandoc_binary is not installed")
    tags = ['<div lang="ko">', '<div lang="en">', "<h2", "<h3", "<math", "<li", "<table", "<blockquote"]
    for name in reading_order()[1:]:
        parts = []
        for cell in json.loads((site.parent / "_proc" / name).read_text(encoding="utf-8"))["cells"]:
            parts += [cell["source"]] if cell["cell_type"] == "markdown" else []
            parts += [output.get("data", {}).get("text/markdown", "") for output in cell.get("outputs", [])]
        options = {"format": "markdown", "extra_args": ["--mathml", "--section-divs"]}
        pandoc = pypandoc.convert_text("\n\n".join(map("".join, parts)), "html", **options)
        smalldocs = re.search("<main.*</main>", pages[page_name(name)], re.S)[0]
        seen = [
            ({t: text.count(t) for t in tags}, set(re.findall(IDS, text))) for text in (pandoc, smalldocs)
        ]
        assert seen[0] == seen[1], name


GIF = "R0lGODlhAQABAAAAACH5BAEAAAAALAAAAAABAAEAAAIA"
BY_QUARTO = f"""<head><script src="https://cdn.example/require.min.js"></script>
<script type="application/javascript">define('jquery', [],function() {{return window.jQuery;}})</script>
<meta property="og:image" content="viewing_files/figure-html/cell-9-output-1.png">
<meta property="og:image:height" content="300"></head>
<h1 class="quarto-secondary-nav-title">결과 보기 / Viewing the results</h1>
<a href="../build/viewing.html" class="sidebar-item-text sidebar-link">
 <span class="menu-text">결과 보기 / Viewing the results</span></a>
<header id="title-block-header"><h1 class="title">결과 보기 / Viewing the results</h1></header>
<a href="#loss" id="toc-loss" class="nav-link" data-scroll-target="#loss">손실 / Loss</a>
<a href="./losses.html"><span class="nav-page-text">손실 / Loss</span></a>
<h2 class="anchored" data-anchor-id="loss">손실 / Loss</h2><figcaption>손실 / Loss</figcaption>
<h3 class="anchored" data-anchor-id="plot_losses">plot_losses</h3>
<p><a href="https://github.com/x" style="float:right; font-size:smaller">source</a></p>
<details class="code-fold"><summary>Code</summary><pre>Code</pre></details><mo accent="true">‾</mo>
<img src="data:image/gif;base64,{GIF}" class="img-fluid"><img src="data:image/gif;base64,{GIF}" width="354">
<img src="viewing_files/figure-html/a.gif" width="100"><a href="{published()}/read/tips.html#leaky">tips</a>
"""


def test_a_page_of_quarto_is_finished_like_one_of_smalldocs(tmp_path):
    place = tmp_path / "build" / "viewing_files" / "figure-html"
    place.mkdir(parents=True)
    Image.new("L", (2, 2)).save(place / "a.gif")
    (tmp_path / "build" / "viewing.html").write_text(BY_QUARTO, encoding="utf-8")
    finish_site.finish(tmp_path)
    text = (tmp_path / "build" / "viewing.html").read_text(encoding="utf-8")
    assert "jquery" not in text and "cdn.example" not in text and "base64" not in text
    (gif,) = (tmp_path / "build" / "viewing_files").glob("*.gif")  # twice the same
    assert text.count(f'src="viewing_files/{gif.name}"') == 2
    assert 'width="1" height="1"' in text and 'height="354"' in text and 'height="100"' in text
    assert text.count('loading="lazy"') == text.count('alt=""') == text.count("<img") == 3
    assert re.search('og:image" content="https://.*/assets/card.png"', text) and "og:image:height" not in text
    assert '<h3 class="api-name anchored"' in text and 'href="../read/tips.html#leaky"' in text
    both = finish_site.both_languages
    assert text.count(both("손실", "Loss")) == 4 and text.count(both("결과 보기", "Viewing the results")) == 3
    assert both("코드", "Code") in text and "<pre>Code</pre>" in text and both("원본", "source") in text
    assert "‾" not in text and text.count('class="chapter-tools"') == 1
    number = ORDER.index("build/viewing.html")
    assert text.count(f'<span class="chapter-number">{number}</span>') == 3
    copy = (tmp_path / "build" / "viewing.llms.md").read_text(encoding="utf-8")
    assert '<div lang="ko">' in copy and "def plot_losses" in copy
    assert f"{published()}/build/training.html" in copy
    assert finish_site.two_languages("진짜 / 가짜 / Real / fake") == ("진짜 / 가짜", "Real / fake")
    assert finish_site.two_languages("a / b") is None


def test_an_address_that_leads_nowhere_has_a_page(site):
    text = (site / "404.html").read_text(encoding="utf-8")
    assert '<base href="/learning_gan/">' in text and "<title>없는 쪽입니다 / No such page" in text
    assert "chapter-card" not in text and "menu-text" in text and 'id="TOC"' not in text


def test_every_link_and_anchor_resolves_and_ids_are_unique(pages, every, parsed, site):
    def broken(page, text, here):
        yield from {i for i in here.ids if here.ids.count(i) > 1}
        for link in here.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                yield from [link] if link.startswith(published()) else []
                continue
            target = os.path.normpath(Path(page).parent / unquote(address.path)) if address.path else page
            target = f"{target}/index.html".removeprefix("./") if (site / target).is_dir() else target
            known = target in pages and unquote(address.fragment) in ["", *parsed(target).ids]
            if not known and (target.endswith(".html") or not (site / target).exists()):
                yield link

    every(broken)


def test_both_languages_are_marked(every):
    "What holds both languages on one line is split, so that the switch can hide one."
    pair = re.compile(r">[^<>]*[가-힣][^<>]* / [^<>가-힣]*[A-Za-z][^<>가-힣]*<")
    every(lambda page, text, _: pair.findall(words(text, "title", "pre", "script", "annotation")))


def test_no_markdown_and_no_tex_is_left_in_the_text(every, pages):
    "A link that a builder did not understand would be read as brackets; formulas are MathML and need no script."
    link = re.compile(r".{0,40}\]\((?:https?://|[\w./-]+\.(?:html|ipynb))")
    every(lambda page, text, _: link.findall(re.sub(r"<[^>]+>", "", words(text, "script"))))
    tex = re.compile(r'class="math|\$\$|\\\[|\\\(')
    every(lambda page, text, _: tex.findall(words(text, "script", "annotation", "pre", "code")))
    assert sum(text.count("<math") for text in pages.values()) > 50


def test_nothing_is_fetched_from_elsewhere(every, site):
    def broken(page, text, parsed):
        there = (a for a in parsed.fetched if a.startswith("data:") or every.at(page, a).exists())
        return set(parsed.fetched) - {address for address in there if not urlsplit(address).netloc}

    every(broken)
    for sheet in [*site.rglob("*.css"), *(site / "assets").glob("*.html")]:
        assert not re.search(r"@import[^;]*https?:|url\(\s*[\"']?https?:", sheet.read_text("utf-8")), sheet


def test_pages_are_light_and_the_site_is_built_fast(every, site):
    "A page and its own pictures weigh at most 1.5 MB, animations aside; 120 seconds of a processor build them all."

    def broken(page, text, parsed):
        pictures = {image["src"] for image in parsed.images if not image["src"].endswith(".gif")}
        weight = len(text.encode()) + sum(every.at(page, src).stat().st_size for src in pictures)
        return [f"{weight / 1e6:.2f} MB"] if weight > 1.5e6 else []

    every(broken)
    if (site.parent / "seconds.txt").exists():
        assert float((site.parent / "seconds.txt").read_text()) <= 120


def test_pictures_keep_their_room_and_wait_until_they_are_seen(every):
    "A picture knows its size, so the page does not jump, says what it shows, and is loaded when it comes into view."

    def right(image):
        sized = image.get("width", "").isdigit() and image.get("height", "").isdigit()
        return "_files/" not in image["src"] or (
            sized and image.get("alt") and image.get("loading") == "lazy"
        )

    every(lambda page, text, parsed: [image for image in parsed.images if not right(image)])


def test_a_name_of_the_package_stands_above_its_code(every):
    "And not above the imports before it, where nbdev puts it."

    def broken(page, text, _):
        text = re.sub(r"</?(?:span|a)\b[^>]*>", "", words(text, "script"))
        for name in re.finditer(r'class="api-name[^>]*>(\w+)<', text):
            folded = re.findall(
                r'<details[^>]*class="code-fold">.*?<code[^>]*>(.*?)</code>', text[name.end() :], re.S
            )
            found = any(re.search(rf"^(def|class) {name[1]}\b", code, re.M) for code in folded)
            if not found or re.match(r"import |from ", folded[0]):
                yield name[1]

    every(broken)


def test_the_look_is_the_packages():
    "Role colours are those of the figures; what Bootstrap does to links in tables, and Quarto to comments, is undone."
    from learning_gan.core.style import COLORS

    sheet = (NOTEBOOKS / "assets" / "site.css").read_text(encoding="utf-8")
    assert dict(re.findall(r"--role-(\w+): (#\w+);", sheet)) == COLORS
    mark = (NOTEBOOKS / "assets" / "favicon.svg").read_text(encoding="utf-8")
    assert all(COLORS[role] in mark for role in ("real", "generator", "discriminator"))
    assert "main .table a { word-break: inherit; }" in sheet and "pre.sourceCode span.co { color:" in sheet


def test_search_and_llms_txt_know_every_page(pages, site):
    "Each page has a Markdown copy that llms.txt leads to, with both languages in it, and there is no other copy."
    entries = json.loads((site / "search.json").read_text(encoding="utf-8"))
    assert {entry["href"].split("#")[0] for entry in entries} == set(pages)
    text = " ".join(entry["text"] for entry in entries)
    assert "생성기" in text and "generator" in text
    index = (site / "llms.txt").read_text(encoding="utf-8")
    listed = re.findall(rf"\]\({re.escape(published())}/([\w./-]+)\)", index)
    copies = {path.relative_to(site).as_posix() for path in site.rglob("*.llms.md")}
    assert listed == [page.replace(".html", ".llms.md") for page in ORDER] and set(listed) == copies
    for name in listed:
        text = (site / name).read_text(encoding="utf-8")
        assert 'lang="ko"' in text and 'lang="en"' in text, name


def test_every_chapter_has_a_page_with_neighbours_and_its_notebook(pages, parsed, site, settings):
    "It stands where Quarto puts it; the notebook can be downloaded, and opened on GitHub and in Colab."
    assert sorted(pages) == sorted(ORDER)
    for side, neighbours in (("previous", [None, *ORDER[:-1]]), ("next", [*ORDER[1:], None])):
        for page, target in zip(ORDER, neighbours, strict=True):
            found = re.search(rf'nav-page-{side}">\s*<a\b[^>]*href="([^"]+)"', pages[page])
            assert (found and os.path.normpath(Path(page).parent / found[1])) == target, f"{page}: {side}"
    for name, page in zip(reading_order(), ORDER, strict=True):
        assert (site / "notebooks" / name).read_bytes() == (NOTEBOOKS / name).read_bytes()
        if page != "index.html":
            place = f"github.com/{settings['user']}/{settings['repo']}/blob/{settings['branch']}/nbs/{name}"
            links = {f"https://{place}", f"https://colab.research.google.com/{place.replace('.com', '')}"}
            assert links | {f"../notebooks/{name}"} <= set(parsed(page).links)


def test_the_home_page_maps_every_chapter(pages):
    "A card for each, with times and a picture, or the beginning of its code; the machine room is a list."
    links = re.findall(r'<a class="chapter-(card|line)" href="([^"]+)">(.*?)</a>', pages["index.html"], re.S)
    assert [page for _, page, _ in links] == ORDER[1:]
    numbers = [int(re.search(r'"chapter-number">(\d+)<', link)[1]) for _, _, link in links]
    assert numbers == list(range(1, len(ORDER)))
    for kind, page, link in links:
        assert (kind == "line") == page.startswith("machine/") and 'lang="ko"' in link and 'lang="en"' in link
        if kind == "card":
            cells = read(reading_order()[ORDER.index(page)])["cells"]
            outputs = [output for cell in cells for output in cell.get("outputs", [])]
            drawn = any("image/png" in output.get("data", {}) for output in outputs)
            assert "chapter-times" in link and ("<img" in link) == drawn, page
            assert ('class="chapter-code"' in link) != drawn, page


def test_every_export_is_documented(pages, parsed):
    "Each function and class of the package has a heading that links lead to, its source below it, and a link to the file."
    from learning_gan._modidx import d

    texts = cache(lambda page: re.sub(r"<[^>]+>", "", pages[page]))
    for module, names in d["syms"].items():
        for name, (place, file) in names.items():
            (page, anchor), short = place.split("#"), name.removeprefix(f"{module}.")
            if "." not in short and not short.startswith("_"):
                assert anchor in parsed(page).ids, name
                assert re.search(rf"(def|class) {short}\b", texts(page)), name
                assert any(f"/{file}#L" in link for link in parsed(page).links), name


def test_index_of_the_package_is_up_to_date():
    "What the saved output lists is what the same cells list now."
    places, held = {}, 0
    for cell in (cell for cell in read("machine/79_api.ipynb")["cells"] if cell["cell_type"] == "code"):
        if "%pip" not in (source := "".join(cell["source"])):
            *body, last = ast.parse(source).body
            exec(compile(ast.Module(body, []), "79_api", "exec"), places)
            if ast.unparse(last).startswith("Markdown("):
                now, held = eval(ast.unparse(last), places).data, held + 1
                assert now == "".join(cell["outputs"][0]["data"]["text/markdown"]) != "", (
                    "run tools/execute_notebooks.py nbs/machine/79_api.ipynb"
                )
            else:
                exec(ast.unparse(last), places)
    assert held == 1


def test_nothing_of_the_machine_is_on_the_site(pages, site):
    texts = [path.read_text(encoding="utf-8") for path in [*site.rglob("*.md"), site / "search.json"]]
    for place in {os.fspath(ROOT), os.fspath(site.parent), os.path.expanduser("~") + "/", "/tmp/"}:
        assert not any(place in text for text in [*pages.values(), *texts]), place
