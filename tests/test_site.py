"""The chapters in two languages, and the site that smalldocs makes of them; the browser's view is in test_browser.py."""

import ast
import json
import os
import re
from collections import defaultdict
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
SIDEBAR = yaml.safe_load((ROOT / "nbs" / "sidebar.yml").read_text(encoding="utf-8"))["website"]["sidebar"]


def listed(entries) -> list[str]:
    "The chapters of the sidebar, in reading order."
    return [
        name
        for entry in entries
        for name in ([entry] if isinstance(entry, str) else listed(entry["contents"]))
    ]


NOTEBOOKS = [ROOT / "nbs" / name for name in listed(SIDEBAR["contents"])]
HANGUL = re.compile("[가-힣]")
EVERY_CHAPTER = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
BLOCK = re.compile(r'^<div lang="(ko|en)">\n\n(.*?)\n\n</div>$', re.S | re.M)
SPAN = re.compile(r'<span lang="(ko|en)">(.*?)</span>', re.S)


@cache
def cells(path: Path, kind: str = "markdown") -> list[str]:
    "The sources of a notebook's cells of one kind."
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def page_of(path: Path) -> str:
    return re.sub(r"^\d+_", "", path.stem) + ".html"


# ---------------------------------------------------------------- two languages


def length(text: str) -> int:
    "How much there is to read: a Hangul syllable says about as much as two Latin letters; code and formulas are the same."
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`|\]\([^)]*\)|<[^>]+>", "", text, flags=re.S)
    return 2 * len(HANGUL.findall(text)) + len(re.findall(r"[A-Za-z0-9]", text))


def test_length_is_sensible():
    "The measure makes little of the scripts' difference and much of a sentence that is missing."
    korean, english = "생성기는 노이즈에서 이미지를 만듭니다.", "The generator makes images from noise."
    assert 0.6 < length(korean) / length(english) < 1.7
    assert length(english) > 2.5 * length("노이즈입니다.")


@EVERY_CHAPTER
def test_blocks_come_in_pairs(path):
    "Korean, then English, in the same cell, with nothing but headings, formulas, tables and code outside."
    for cell in cells(path):
        languages = [match[1] for match in BLOCK.finditer(cell)]
        assert languages == ["ko", "en"] * (len(languages) // 2), cell[:200]
        assert (
            cell.count("<div lang=")
            == len(languages)
            == len(re.findall(r"^</div>$", BLOCK.sub("</div>", cell), re.M))
            - cell.count('<div class="chapters">')
        ), f"a block is not closed, or lacks its blank lines: {cell[:200]}"


@EVERY_CHAPTER
def test_neither_language_is_empty_or_a_summary(path):
    "Each pair says as much in Korean as in English, within a factor of 2.5, and in the right script."
    for cell in cells(path):
        for pair in (list(BLOCK.finditer(cell)), list(SPAN.finditer(BLOCK.sub("", cell)))):
            for korean, english in zip(pair[::2], pair[1::2], strict=True):
                assert (korean[1], english[1]) == ("ko", "en")
                sizes = length(korean[2]), length(english[2])
                assert min(sizes) > 0, cell[:200]
                assert max(sizes) <= 2.5 * min(sizes) or max(sizes) < 30, f"{sizes}: {cell[:300]}"
                assert HANGUL.search(korean[2]), korean[2]
                assert not HANGUL.search(re.sub(r"`[^`]*`|\"[^\"]*\"|\([^)]*\)", "", english[2])), english[2]


@EVERY_CHAPTER
def test_blocks_have_the_same_parts(path):
    "A pair has as many list items, table rows, formulas and pieces of code in one language as in the other."
    for cell in cells(path):
        for korean, english in zip(*[iter(BLOCK.finditer(cell))] * 2, strict=True):
            for part in (
                r"^ *[-*] ",
                r"^ *\d+\. ",
                r"^\|",
                r"\$\$",
                r"^> \*\*2017 → (?:지금|now)\*\*",
                r"^```",
            ):
                counts = [len(re.findall(part, block[2], re.M)) for block in (korean, english)]
                assert counts[0] == counts[1], f"{part}: {counts} in {cell[:200]}"


@EVERY_CHAPTER
def test_headings_hold_both_languages(path):
    for cell in cells(path):
        outside = re.sub(r"```.*?```", "", BLOCK.sub("", cell), flags=re.S)
        for heading in re.findall(r"^#+ (.*)$", outside, re.M):
            korean, slash, english = heading.partition(" / ")
            assert slash and HANGUL.search(korean) and not HANGUL.search(english), heading
        for block in BLOCK.finditer(cell):
            assert not re.search(r"^#+ ", re.sub(r"```.*?```", "", block[2], flags=re.S), re.M), (
                "a heading in a block"
            )


@EVERY_CHAPTER
def test_first_cell(path):
    "The title, in both languages, and a line about it, in English, for it becomes the module's docstring."
    title, about = cells(path)[0].split("\n\n")
    assert title.startswith("# ") and "\n" not in title
    assert re.fullmatch(r"> \S[^\n]*", about)
    assert path.stem == "index" or not HANGUL.search(about)


def test_home_page_says_what_each_chapter_says():
    "The line under a chapter's title stands on the home page as well, with the Korean that the site puts beside it."
    table = "\n".join(cells(ROOT / "nbs" / "index.ipynb"))
    for path in NOTEBOOKS:
        title, about = (line[2:] for line in cells(path)[0].split("\n\n"))
        if path.stem != "index":
            row = re.search(rf"^\| \[{re.escape(title)}\]\(\S+/{page_of(path)}\) \| (.*) \|$", table, re.M)
            assert row, f"{path.name} is not on the home page, or under another title"
            korean, english = SPAN.findall(row[1])
            assert english == ("en", about), path.name
            assert korean[0] == "ko" and HANGUL.search(korean[1]), path.name


@EVERY_CHAPTER
def test_figures_have_captions_and_alternative_texts(path):
    "Every saved picture says what it shows, in both languages."
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        pictures = [
            o for o in cell.get("outputs", []) if any(t.startswith("image/") for t in o.get("data", {}))
        ]
        if not pictures:
            continue
        source = "".join(cell["source"])
        head = "\n".join(line[2:].strip() for line in source.splitlines() if re.match(r"#\| [\w-]+:", line))
        options = yaml.safe_load(head) or {}
        for key in ("fig-cap", "fig-alt"):
            texts = options.get(key) or ""
            for text in texts if isinstance(texts, list) else [texts]:
                korean, slash, english = text.partition(" / ")
                assert slash and HANGUL.search(korean) and not HANGUL.search(english), (
                    f"{key} of {source[:200]}"
                )


@EVERY_CHAPTER
def test_saved_outputs_hold_no_noise(path):
    "No warnings, no progress bars, no errors among what is shown to readers."
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr", "".join(output["text"])[:300]


@EVERY_CHAPTER
def test_readers_see_the_code_of_the_package(path):
    "Exports are `exports`, which the site shows; `export` would leave the reader a signature."
    for source in cells(path, "code"):
        assert not re.match(r"#\| export\s*$", source, re.M), source[:200]


@EVERY_CHAPTER
def test_imports_stand_alone(path):
    "To make the site, nbdev runs every cell that imports; more than imports in it would fail or take time there."
    harmless = (ast.Import, ast.ImportFrom)
    if not any(source.startswith("#| exports") for source in cells(path, "code")):
        return  # nothing to document, nothing is run
    for source in cells(path, "code"):
        if re.match(r"#\| (exports|eval: false)|#\| hide\nfrom importlib.util", source):
            continue
        tree = ast.parse(source)
        if any(isinstance(node, harmless) for node in ast.walk(tree)):
            rest = [ast.unparse(node) for node in tree.body if not isinstance(node, harmless)]
            assert set(rest) <= {"use_style()"}, source[:300]


# ---------------------------------------------------------------- the site


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


@cache
def parsed(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def pages(site) -> list[Path]:
    return sorted(path for path in site.glob("*.html") if path.name != "404.html")


def test_every_chapter_has_a_page_where_quarto_puts_it(pages):
    assert {page.name for page in pages} == {page_of(path) for path in NOTEBOOKS}


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem != "index"], ids=lambda path: path.stem)
def test_both_builders_read_the_same(site, path):
    "Pandoc, which Quarto renders with, finds the same headings, blocks, lists, tables and formulas as smalldocs."
    pypandoc = pytest.importorskip("pypandoc", reason="pypandoc_binary is not installed")
    parts = []
    for cell in json.loads((site.parent / "_proc" / path.name).read_text(encoding="utf-8"))["cells"]:
        parts += ["".join(cell["source"])] if cell["cell_type"] == "markdown" else []
        for output in cell.get("outputs", []):
            parts.append("".join(output.get("data", {}).get("text/markdown", "")))
    pandoc = pypandoc.convert_text(
        "\n\n".join(parts), "html", format="markdown", extra_args=["--mathml", "--section-divs"]
    )
    text = (site / page_of(path)).read_text(encoding="utf-8")
    smalldocs = text[text.index("<main") : text.index("</main>")]
    for tag in ('<div lang="ko">', '<div lang="en">', "<h2", "<h3", "<math", "<li", "<table", "<blockquote"):
        assert pandoc.count(tag) == smalldocs.count(tag), tag
    anchor = r'<(?:section|h\d)[^>]*\bid="([^"]+)"'
    assert set(re.findall(anchor, pandoc)) == set(re.findall(anchor, smalldocs))


def test_finishing_knows_quartos_markup():
    "The places that hold both languages, and the title block, as Quarto writes them."
    import finish_site

    both = finish_site.both_languages("손실", "Loss")
    quarto = """<h2 class="anchored" data-anchor-id="loss">손실 / Loss</h2>
    <a href="#loss" id="toc-loss" class="nav-link" data-scroll-target="#loss">손실 / Loss</a>
    <div class="sidebar-item-container"><a href="./losses.html" class="sidebar-item-text sidebar-link">
     <span class="menu-text">손실 / Loss</span></a></div>
    <a href="./losses.html" class="pagination-link"><i class="bi"></i> <span class="nav-page-text">손실 / Loss</span></a>
    <figcaption>손실 / Loss</figcaption><summary>손실 / Loss</summary>"""
    marked = finish_site.mark_languages(quarto)
    assert marked.count(both) == quarto.count("손실 / Loss") == 6
    header = (
        '<header id="title-block-header" class="quarto-title-block default"><h1 class="title">x</h1></header>'
    )
    assert finish_site.under_title(header, "<i></i>") == header + "<i></i>"
    link = '<a href="https://learning-gan.github.io/learning_gan/losses.html#loss">'
    assert (
        finish_site.local_links(link, "https://learning-gan.github.io/learning_gan")
        == '<a href="losses.html#loss">'
    )
    assert finish_site.two_languages("진짜 / 가짜 / Real / fake") == ("진짜 / 가짜", "Real / fake")
    assert finish_site.two_languages("a / b") is None


GIF = "R0lGODlhAQABAAAAACH5BAEAAAAALAAAAAABAAEAAAIA"
BY_QUARTO = f"""<head><script src="https://cdn.example/require.min.js"></script>
<script type="application/javascript">define('jquery', [],function() {{return window.jQuery;}})</script>
<meta property="og:image" content="viewing_files/figure-html/cell-9-output-1.png">
<meta property="og:image:height" content="300"></head>
<a href="./viewing.html" class="sidebar-item-text sidebar-link">
 <span class="menu-text">결과 보기 / Viewing the results</span></a>
<header id="title-block-header"><h1 class="title">결과 보기 / Viewing the results</h1></header>
<h3 class="anchored" data-anchor-id="plot_losses">plot_losses</h3>
<img src="data:image/gif;base64,{GIF}" class="img-fluid"><img src="data:image/gif;base64,{GIF}" width="354">
"""


def test_a_page_of_quarto_is_finished_like_one_of_smalldocs(tmp_path):
    import finish_site

    (tmp_path / "viewing.html").write_text(BY_QUARTO, encoding="utf-8")
    finish_site.finish(tmp_path)
    text = (tmp_path / "viewing.html").read_text(encoding="utf-8")
    assert "jquery" not in text and "cdn.example" not in text
    (gif,) = (tmp_path / "viewing_files").iterdir()
    assert text.count(f'src="viewing_files/{gif.name}"') == 2 and "base64" not in text
    assert 'width="1" height="1"' in text and 'height="354"' in text
    assert re.search('og:image" content="https://.*/assets/card.png"', text) and "og:image:height" not in text
    assert '<h3 class="api-name anchored"' in text
    number = [page_of(path) for path in NOTEBOOKS].index("viewing.html")
    assert text.count(f'<span class="chapter-number">{number}</span>') == 2
    copy = (tmp_path / "viewing.llms.md").read_text(encoding="utf-8")
    assert '<div lang="ko">' in copy and "def plot_losses" in copy and "training.html" in copy


def test_an_address_that_leads_nowhere_has_a_page(site):
    text = (site / "404.html").read_text(encoding="utf-8")
    assert '<base href="/learning_gan/">' in text and "No such page" in text and "없는 쪽" in text
    assert "chapter-card" not in text and "menu-text" in text


def test_sidebar_holds_every_chapter_in_order():
    assert sorted(NOTEBOOKS) == sorted((ROOT / "nbs").glob("*.ipynb"))
    # The machine room has an order of its own.
    book = [path.name for path in NOTEBOOKS if "0" < path.name < "9"]
    assert book == sorted(book)


def test_every_link_and_anchor_resolves(pages, site):
    broken = defaultdict(list)
    for page in pages:
        for link in parsed(page).links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = site / (unquote(address.path) or page.name)
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (
                target.suffix == ".html"
                and address.fragment
                and unquote(address.fragment) not in parsed(target).ids
            ):
                broken[page.name].append(link)
    assert not broken, dict(broken)


def test_both_languages_are_marked(pages):
    "What holds both languages on one line is split, so that the switch can hide one."
    pair = re.compile(r">[^<>]*[가-힣][^<>]* / [^<>가-힣]*[A-Za-z][^<>가-힣]*<")
    for page in pages:
        text = re.sub(
            r"<(title|pre|script|annotation)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.S
        )
        assert not pair.search(text), f"{page.name}: {pair.search(text)[0]}"


def test_links_to_the_published_site_are_local(pages, settings):
    published = f"https://{settings['user']}.github.io/{settings['repo']}"
    for page in pages:
        assert not [link for link in parsed(page).links if link.startswith(published)], page.name


def test_no_markdown_is_left_in_the_text(pages):
    "A link that a builder did not understand would be read as brackets."
    for page in pages:
        text = re.sub(r"<script\b.*?</script>|<[^>]+>", "", page.read_text(encoding="utf-8"), flags=re.S)
        found = re.search(r".{0,40}\]\((?:https?://|[\w./-]+\.(?:html|ipynb))", text)
        assert not found, f"{page.name}: {found[0]}"


def test_nothing_is_fetched_from_elsewhere(pages, site):
    for page in pages:
        for address in parsed(page).fetched:
            assert not urlsplit(address).netloc, f"{page.name}: {address}"
            assert address.startswith("data:") or (site / unquote(urlsplit(address).path)).exists(), (
                f"{page.name}: {address}"
            )
    for sheet in [*site.rglob("*.css"), *(site / "assets").glob("*.html")]:
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"@import[^;]*https?:|url\(\s*[\"']?https?:", text), sheet


def test_ids_are_unique(pages):
    for page in pages:
        ids = parsed(page).ids
        assert len(ids) == len(set(ids)), f"{page.name}: {sorted({i for i in ids if ids.count(i) > 1})}"


def test_pages_are_light(pages, site):
    "A page with its own pictures weighs at most 1.5 MB, animations aside."
    for page in pages:
        pictures = {image["src"] for image in parsed(page).images if not image["src"].startswith("data:")}
        weight = page.stat().st_size + sum(
            (site / p).stat().st_size for p in pictures if not p.endswith(".gif")
        )
        assert weight <= 1.5e6, f"{page.name}: {weight / 1e6:.2f} MB"


def test_site_is_built_fast(site):
    "At most 60 seconds of two cores; the time of the processor, because the clock would count what else runs."
    if not (site.parent / "seconds.txt").exists():
        pytest.skip("another builder made the site")
    assert float((site.parent / "seconds.txt").read_text()) <= 120


def test_pictures_are_drawn_at_their_size(pages):
    "A picture knows its width, so the page does not jump, and its alternative text, empty only where text stands by it."
    for page in pages:
        for image in parsed(page).images:
            if "_files/" in image["src"]:
                assert image.get("width", "").isdigit() and image.get("height", "").isdigit(), image
                assert image.get("alt"), f"{page.name}: {image['src']}"


def test_formulas_are_mathml(pages):
    "No formula is left as TeX, and none needs a script."
    found = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert 'class="math' not in text, page.name
        assert not re.search(
            r"\$\$|\\\[|\\\(", re.sub(r"<(script|annotation|pre|code)\b.*?</\1>", "", text, flags=re.S)
        ), page.name
        found += text.count("<math")
    assert found > 50


def test_role_colours_are_those_of_the_figures():
    from learning_gan.style import COLORS

    sheet = (ROOT / "nbs" / "assets" / "site.css").read_text(encoding="utf-8")
    assert dict(re.findall(r"--role-(\w+): (#\w+);", sheet)) == COLORS
    mark = (ROOT / "nbs" / "assets" / "favicon.svg").read_text(encoding="utf-8")
    assert all(COLORS[role] in mark for role in ("real", "generator", "discriminator"))


def test_search_knows_every_page(pages, site):
    entries = json.loads((site / "search.json").read_text(encoding="utf-8"))
    assert {entry["href"].split("#")[0] for entry in entries} == {page.name for page in pages}
    text = " ".join(entry["text"] for entry in entries)
    assert "생성기" in text and "generator" in text


def test_llms_txt_lists_every_page(pages, site, settings):
    "Each page has a Markdown copy that llms.txt leads to, with both languages in it."
    listed = re.findall(r"\]\(https://[^)]*/([\w.-]+)\)", (site / "llms.txt").read_text(encoding="utf-8"))
    assert set(listed) == {f"{page.stem}.llms.md" for page in pages}
    assert set(listed) == {path.name for path in site.glob("*.llms.md")}  # and no other copy, whoever builds
    for name in listed:
        text = (site / name).read_text(encoding="utf-8")
        assert 'lang="ko"' in text and 'lang="en"' in text, name


def test_chapters_can_be_opened_and_downloaded(pages, site, settings):
    for path in NOTEBOOKS:
        assert (site / "notebooks" / path.name).read_bytes() == path.read_bytes()
        if path.stem != "index":
            links = parsed(site / page_of(path)).links
            assert f"notebooks/{path.name}" in links
            place = f"{settings['user']}/{settings['repo']}/blob/{settings['branch']}/nbs/{path.name}"
            assert f"https://colab.research.google.com/github/{place}" in links
            assert f"https://github.com/{place}" in links


def test_chapters_lead_to_their_neighbours(pages, site):
    order = ["index.html", *(page_of(path) for path in NOTEBOOKS if path.stem != "index")]
    for before, page, after in zip([None, *order], order, [*order[1:], None], strict=False):
        text = (site / page).read_text(encoding="utf-8")
        for side, target in (("previous", before), ("next", after)):
            found = re.search(rf'nav-page-{side}">\s*<a\b[^>]*href="([^"]+)"', text)
            assert (found and found[1].removeprefix("./")) == target, f"{page}: {side}"


def test_home_page_maps_every_chapter(site):
    "A card for each chapter, with times and a picture: a figure of it, or the beginning of its code."
    text = (site / "index.html").read_text(encoding="utf-8")
    cards = dict(re.findall(r'<a class="chapter-card" href="([^"]+)">(.*?)</a>', text, re.S))
    assert list(cards) == [page_of(path) for path in NOTEBOOKS if path.stem != "index"]
    for path in NOTEBOOKS:
        if path.stem == "index":
            continue
        card = cards[page_of(path)]
        assert "chapter-times" in card and 'lang="ko"' in card and 'lang="en"' in card
        has_picture = '"image/png"' in path.read_text(encoding="utf-8")
        assert ("<img" in card) == has_picture, path.name
        assert ('class="chapter-code"' in card) != has_picture, path.name


def test_every_export_is_documented(site):
    "Each function and class of the package has a heading that links lead to, its source below it, and a link to the file."
    from learning_gan._modidx import d

    for module, names in d["syms"].items():
        for name, (place, file) in names.items():
            page, anchor = place.split("#")
            short = name.removeprefix(f"{module}.")
            if "." in short or short.startswith("_"):
                continue
            assert anchor in parsed(site / page).ids, name
            text = re.sub(r"<[^>]+>", "", (site / page).read_text(encoding="utf-8"))
            assert re.search(rf"(def|class) {short}\b", text), name
            assert any(f"/{file}#L" in link for link in parsed(site / page).links), name


def test_index_of_the_package_is_up_to_date():
    "What the saved output lists is what the same cells list now."
    notebook = json.loads((ROOT / "nbs" / "95_api.ipynb").read_text(encoding="utf-8"))
    places, now, saved = {}, None, None
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or "%pip" in source:
            continue
        *body, last = ast.parse(source).body
        exec(compile(ast.Module(body, []), "95_api", "exec"), places)
        if isinstance(last, ast.Expr) and ast.unparse(last).startswith("Markdown("):
            now = eval(compile(ast.Expression(last.value), "95_api", "eval"), places).data
            saved = "".join(cell["outputs"][0]["data"]["text/markdown"])
            break
        exec(compile(ast.Module([last], []), "95_api", "exec"), places)
    assert now
    assert saved == now, "execute nbs/95_api.ipynb again: tools/execute_notebooks.py nbs/95_api.ipynb"


def test_nothing_of_the_machine_is_on_the_site(pages, site):
    for page in [*pages, *site.glob("*.md"), site / "search.json"]:
        text = page.read_text(encoding="utf-8")
        for place in {os.fspath(ROOT), os.fspath(site.parent), os.path.expanduser("~") + "/", "/tmp/"}:
            assert place not in text, f"{page.name}: {place}"
