"""Finish a rendered site, whichever builder made it: Quarto and smalldocs both run this after rendering.

It makes the two languages of headings, captions and navigation switchable, turns links to the published site into
links within this one, puts the notebook buttons and the times under each chapter's title, and draws the map of
chapters on the home page.
"""

import base64
import hashlib
import html
import io
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from chapters import NOTEBOOKS, page_name, published, read, reading_order, said, settings, source
from PIL import Image

HANGUL = re.compile("[가-힣]")
WORDS_A_MINUTE = 230  # silent reading of non-fiction: 238 in English, 226 in Korean (Brysbaert 2019, table 3)
THUMBNAIL = (480, 300)  # at most, in pixels
WIDE = 640  # CSS pixels of a figure whose text is too small to read at the width of a phone
LIST = "machine/"  # the chapters that the home page lists; the others have cards
FROM_ELSEWHERE = re.compile(
    r'<(?:link|script)\b[^>]*(?:href|src)="https://[^"]*"[^>]*>(?:</script>)?'
    r"|<script type=\"application/javascript\">define\('jquery'.*?</script>"
)

# Where both languages stand on one line, and what encloses them in both builders.
PAIRS = [
    re.compile(rf"({opened})(.*?)({closed})", re.S)
    for opened, closed in [
        (r"<h[1-6]\b[^>]*>", r"</h[1-6]>"),
        (r"<(?:figcaption|th|summary)\b[^>]*>", r"</(?:figcaption|th|summary)>"),
        (r'<span class="(?:menu-text|nav-page-text)">', "</span>"),
        (r"<a\b[^>]*\bdata-scroll-target=[^>]*>", "</a>"),
        (r'<div class="description">\s*(?:<p>)?', r"(?:</p>)?\s*</div>"),
    ]
]
# What the builders and nbdev say in English only, and in which place.
KOREAN = {
    r"(?<=[>\s])Exported source(?=</)": "패키지에 들어가는 코드 / Code of the package",
    r"(?<=[>\s])View source(?=</)": "노트북 원본 / View source",
    r"(?<=[>\s])Report an issue(?=</)": "문제 알리기 / Report an issue",
    r"(?<=<summary>)Code(?=</summary>)": "코드 / Code",
    r'(?<=font-size:smaller">)source(?=</a>)': "원본 / source",
}
BAR = '<mo accent="true">‾</mo>', '<mo accent="true">¯</mo>'  # Pandoc's is as wide as two letters


def both_languages(korean: str, english: str) -> str:
    "Korean and English, each in a span that the switch shows or hides."
    return f'<span lang="ko">{korean}</span><span class="lang-gap"> / </span><span lang="en">{english}</span>'


def two_languages(markup: str) -> tuple[str, str] | None:
    "Korean and English of a line that holds both, as in `손실 / Loss`; None of a line that does not."
    for slash in re.finditer(r"\s+/\s+", markup):
        pair = korean, english = markup[: slash.start()].strip(), markup[slash.end() :].strip()
        closed = all(len(re.findall(r"<[a-z]", each)) == each.count("</") for each in pair)
        if HANGUL.search(korean) and not HANGUL.search(english) and closed:
            return pair
    return None


def mark_languages(text: str) -> str:
    "Put each language of headings, captions, navigation and table heads into a span of its own."

    def mark(match: re.Match) -> str:
        pair = None if "lang=" in match[2] else two_languages(match[2])
        return match[1] + both_languages(*pair) + match[3] if pair else match[0]

    for english, both in KOREAN.items():
        text = re.sub(english, both_languages(*both.split(" / ")), text)
    for place in PAIRS:
        text = place.sub(mark, text)
    # Code and what it printed is English for screen readers: en-GB, because the switch hides what is en.
    return re.sub(r'(<div\b(?![^>]*\blang=)[^>]*\bclass="cell\b[^>]*)>', r'\1 lang="en-GB">', text)


def local_links(text: str, page: str, ids: dict[str, set[str]]) -> str:
    "Make links to the published site, which nbdev writes, links from `page` to others of this one."

    def link(match: re.Match) -> str:
        path, mark, anchor = match[2].partition("#")
        path = path or "index.html"
        if anchor not in ids.get(path, {anchor}):
            anchor = anchor.partition(".")[0]  # a method stands in its class
        return match[1] + os.path.relpath(path, Path(page).parent) + mark + anchor + '"'

    return re.sub(rf'(<a\b[^>]*\bhref="){re.escape(published())}/?([^"]*)"', link, text)


def tidy_signatures(text: str) -> str:
    "Make links of the Markdown links that nbdev writes into signatures, and take the notebook's own name out."
    link = re.compile(r"\[`([\w.()]+)`\]\((https://[^)\s]+)\)")
    notebook = re.compile(r'\b__main__(?:\.|<span class="op">\.</span>)')
    in_code = re.compile(r"<pre\b.*?</pre>", re.S)
    return in_code.sub(lambda code: notebook.sub("", link.sub(r'<a href="\2">\1</a>', code[0])), text)


def function_spaces(text: str) -> str:
    "Give functions such as log in MathML the thin spaces that TeX gives them and Pandoc does not."
    function = r'(<mi mathvariant="normal">\w+</mi><mo>(?:&#8289;|\u2061)</mo>)</mrow>'
    space = '<mspace width="0.1667em"></mspace>'
    before = rf"(</mi>|</mn>|</msub>|</msup>|postfix\">[^<]</mo>)<mrow>{function}"
    text = re.sub(before, rf"\1<mrow>{space}\2</mrow>", text)
    return re.sub(rf"{function}(?=<m(?!o))(?!<mi>\w+</mi></m(?:sub|sup)>)", rf"\1{space}</mrow>", text)


def shown(cell: dict) -> bool:
    "Whether a reader of the site sees this cell."
    return not re.search(r"^#\|\s*(hide|default_exp|include:\s*false)", source(cell), re.M)


def reading_minutes(notebook: dict, language: str) -> int:
    "Minutes to read a notebook's prose in a language, and its code."
    words = 0
    for cell in filter(shown, notebook["cells"]):
        blocks = re.findall(r'<(?:div|span) lang="(ko|en)">(.*?)</(?:div|span)>', source(cell), re.S)
        said = [block for one, block in blocks if one == language] if blocks else [source(cell)]
        words += len(" ".join(said).split())
    return max(1, round(words / WORDS_A_MINUTE))


def times(notebook: dict) -> str:
    "How long a chapter takes to read and, where it was measured when its outputs were made, to run."
    korean = [f"읽기 {reading_minutes(notebook, 'ko')}분"]
    english = [f"{reading_minutes(notebook, 'en')} min read"]
    if run := notebook["metadata"].get("run_seconds"):
        cpus, short = notebook["metadata"]["run_cpus"], run < 90
        count = round(run if short else run / 60)
        korean.append(f"실행 {count}{'초' if short else '분'} (CPU {cpus}개)")
        english.append(f"runs in {count} {'s' if short else 'min'} on {cpus} CPUs")
    return both_languages(" · ".join(korean), " · ".join(english))


def chapter_tools(name: str, notebook: dict) -> str:
    "The line under a chapter's title: times, Colab, download."
    place = "{user}/{repo}/blob/{branch}/nbs/".format(**settings()) + name
    copy = os.path.relpath(f"notebooks/{name}", Path(name).parent)
    return (
        f'<div class="chapter-tools"><span class="chapter-times">{times(notebook)}</span>'
        f'<a class="chapter-button" href="https://colab.research.google.com/github/{place}">'
        f"{both_languages('Colab에서 열기', 'Open in Colab')}</a>"
        f'<a class="chapter-button" href="{copy}" download>{both_languages("노트북 내려받기", "Download notebook")}</a></div>'
    )


def figures(notebook: dict) -> list[tuple[dict, dict, bytes]]:
    "The saved PNG pictures that a reader sees: cell, output and content."
    return [
        (cell, output, base64.b64decode("".join(output["data"]["image/png"])))
        for cell in filter(shown, notebook["cells"])
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


def drawn_sizes(notebook: dict) -> dict[bytes, tuple[int, int]]:
    "The size in CSS pixels of each picture of a notebook that says it: figures are saved at twice that."
    said = [(output["metadata"].get("image/png", {}), data) for _, output, data in figures(notebook)]
    return {data: (size["width"], size["height"]) for size, data in said if "width" in size}


def size_attributes(tag: str, data: bytes, drawn: tuple[int, int] | None) -> str:
    "The width and height that a picture's tag lacks, so that the page keeps room for it before it is loaded."
    if "height=" in tag:
        return ""
    with Image.open(io.BytesIO(data)) as image:
        width, height = drawn or image.size
    if asked := re.search(r'width="(\d+)"', tag):
        return f' height="{round(int(asked[1]) * height / width)}"'
    return f' width="{width}" height="{height}"'


def pictures(text: str, page: Path, sizes: dict[bytes, tuple[int, int]]) -> str:
    "Keep every picture of the chapter in a file, with its size and a text; it is loaded when it comes into view."
    folder = page.parent / f"{page.stem}_files"
    known = {path.read_bytes(): path for path in folder.rglob("*") if path.is_file()}

    def picture(match: re.Match) -> str:
        tag, place = match[0], match["place"]
        kind, written, data = place.removeprefix("data:image/").partition(";base64,")
        data = base64.b64decode(data) if written else (page.parent / place).read_bytes()
        if data not in known:
            folder.mkdir(exist_ok=True)
            known[data] = folder / f"{page.stem}-{hashlib.sha256(data).hexdigest()[:12]}.{kind}"
            known[data].write_bytes(data)
        path = known[data].relative_to(page.parent).as_posix()
        more = "" if "alt=" in tag else ' alt=""'
        more += size_attributes(tag.replace(place, ""), data, sizes.get(data))
        more += "" if "loading=" in tag else ' loading="lazy"'
        more += " data-wide" if sizes.get(data, (0, 0))[0] > WIDE else ""
        return tag.replace(f'src="{place}"', f'src="{path}"{more}')

    place = r"data:image/\w+;base64,[^\"]+|[\w.-]+_files/[^\"]+"
    return re.sub(rf'<img\b[^>]*\bsrc="(?P<place>{place})"[^>]*>', picture, text)


def card(text: str) -> str:
    "Let every page be shared with the card of the site: Quarto takes the first picture, transparent or inlined."
    kinds = r'<meta (?:property|name)="(?:og|twitter):image'
    text = re.sub(rf'{kinds}(?::alt|[:-]height|[:-]width)" content="[^"]*">\n?', "", text)
    return re.sub(rf'({kinds}" content=")[^"]*', rf"\g<1>{published()}/assets/card.png", text)


def markdown_copy(name: str, notebook: dict) -> str:
    "A chapter as Markdown: prose, code, what it prints, and what its figures show."
    parts = []
    for cell in notebook["cells"]:
        text = source(cell).strip()
        if cell["cell_type"] == "markdown":
            parts.append(text)
        elif cell["cell_type"] == "code" and shown(cell):
            code = re.sub(r"^#\|.*\n", "", text, flags=re.M)
            parts += [f"```python\n{code}\n```", *map(said, cell["outputs"])]
            parts += [f"({alt})" for alt in re.findall(r'^#\| fig-alt: "(.*)"', text, re.M)]

    def link(match: re.Match) -> str:
        return f"]({published()}/{page_name(os.path.normpath(Path(name).parent / match[1]))}"

    return re.sub(r"\]\(([\w./-]+\.ipynb)\b", link, "\n\n".join(filter(None, parts))) + "\n"


def markdown_copies(out: Path, notebooks: dict[str, dict]) -> None:
    "Write every chapter's Markdown copy, and llms.txt, which lists them in reading order."
    config = settings()
    lines = [f"# {config['title']}", "", f"> {config['description']}", "", "## Pages", ""]
    for name, notebook in notebooks.items():
        copy, text = page_name(name).replace(".html", ".llms.md"), markdown_copy(name, notebook)
        (out / copy).parent.mkdir(exist_ok=True)
        (out / copy).write_text(text, encoding="utf-8")
        lines.append(f"- [{re.search('^# (.*)$', text, re.M)[1]}]({published()}/{copy})")
    (out / "llms.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


NOT_FOUND = """<h1>없는 쪽입니다 / No such page</h1>
<div lang="ko"><p>주소가 바뀌었거나 잘못 적혔습니다. <a href="index.html">첫 쪽</a>에 모든 장이 있습니다.</p></div>
<div lang="en"><p>The address has changed or is mistyped. <a href="index.html">The home page</a> lists all chapters.</p></div>"""


def not_found(home: str) -> str:
    "The page for an address that leads nowhere, at whatever depth: the home page's frame with other words."
    title = f"<title>없는 쪽입니다 / No such page – {settings()['title']}</title>"
    home = re.sub(r"(<main\b[^>]*>).*(</main>)", rf"\1{mark_languages(NOT_FOUND)}\2", home, flags=re.S)
    home = re.sub(r'<nav id="TOC".*?</nav>|<nav class="page-navigation".*?</nav>', "", home, flags=re.S)
    home = re.sub(r"<title>.*?</title>", title, home, flags=re.S)
    return home.replace("<head>", f'<head>\n<base href="{urlsplit(published()).path}/">', 1)


def number_chapters(text: str, page: str, numbers: dict[str, int]) -> str:
    "Number the chapters as the reader meets them: in the sidebar, on the home page's cards, before their titles."

    def numbered(match: re.Match, target: str = page) -> str:
        if "page" in match.groupdict():
            target = os.path.normpath(Path(page).parent / match["page"])
        number = f'<span class="chapter-number">{numbers[target]}</span> ' if target in numbers else ""
        return match[0] + number

    link = r'<a\b[^>]*href="(?P<page>[\w./-]+\.html)"[^>]*>'
    for place in (
        rf'{link}\s*<span class="menu-text">',
        rf'{link}(?:<span class="chapter-picture">(?:(?!</a>).)*?</span>)?<span class="chapter-title">',
        r'<h1 class="(?:title|quarto-secondary-nav-title)[^>]*>',
    ):
        text = re.sub(place, numbered, text, flags=re.S)
    return text


def rows(text: str) -> list[list[str]]:
    "Page, title and line of each chapter that a table of the home page lists."
    link = rf'<a\b[^>]*href="(?:{re.escape(published())}/)?([\w./-]+\.html)"[^>]*>(.*?)</a>'
    row = rf"<tr\b[^>]*>\s*<td\b[^>]*>\s*{link}\s*</td>\s*<td\b[^>]*>(.*?)</td>"
    gap = '<br class="lang-gap">'
    return [[*found[:2], re.sub(r"<br\s*/?>", gap, found[2])] for found in re.findall(row, text, re.S)]


def thumbnail(notebook: dict, out: Path, page: str) -> str:
    "A small copy of a chapter's figure: one whose cell says `#| thumbnail: true`, else the first; else its first code."
    chosen = re.compile(r"^#\|\s*thumbnail:\s*true", re.M)
    if drawn := sorted(figures(notebook), key=lambda found: not chosen.search(source(found[0]))):
        path = out / "thumbnails" / page.replace("/", "_").replace(".html", ".png")
        path.parent.mkdir(exist_ok=True)
        with Image.open(io.BytesIO(drawn[0][2])) as image:
            image = image.convert("RGBA")
            image.thumbnail(THUMBNAIL)
            image.quantize(128).save(path, optimize=True)
        width, height = image.size
        return f'<img src="thumbnails/{path.name}" alt="" width="{width}" height="{height}" loading="lazy">'
    code = "\n\n".join(source(cell) for cell in notebook["cells"] if cell["cell_type"] == "code")
    lines = re.search(r"^(?:@.*\n)?(?:def|class) (?:.*\n){4,7}", code, re.M)
    text = html.escape(lines[0].rstrip(), quote=False) if lines else ""
    return f'<code class="chapter-code" lang="en-GB" aria-hidden="true">{text}</code>' if text else ""


def chapter_map(text: str, out: Path, notebooks: dict[str, dict]) -> str:
    "Turn the tables of chapters on the home page into cards, and that of the machine room into a list."
    by_page = {page_name(name): notebook for name, notebook in notebooks.items()}

    def chapter(page: str, title: str, line: str) -> str:
        if page not in by_page:
            sys.exit(f"the home page lists {page}, and no chapter becomes it")
        title = f'<span class="chapter-title">{both_languages(*two_languages(title))}</span>'
        line = f'<span class="chapter-about">{line}</span>'
        if page.startswith(LIST):
            return f'<li><a class="chapter-line" href="{page}">{title}</a> {line}</li>'
        picture = f'<span class="chapter-picture">{thumbnail(by_page[page], out, page)}</span>'
        time = f'<span class="chapter-times">{times(by_page[page])}</span>'
        return f'<li><a class="chapter-card" href="{page}">{picture}{title}{line}{time}</a></li>'

    def section(match: re.Match) -> str:
        listed = rows(match[2])
        kind = "chapter-list" if listed[0][0].startswith(LIST) else "chapter-map"
        return f'{match[1]}<ul class="{kind}">{"".join(chapter(*row) for row in listed)}</ul>{match[3]}'

    table = r'(?:<div class="sd-table">\s*)?<table\b[^>]*>(?:(?!</table>).)*</table>(?:\s*</div>)?'
    return re.sub(rf'(<div class="chapters">\s*)({table})(\s*</div>)', section, text, flags=re.S)


def title_block(text: str, line: str | None, tools: str) -> str:
    "Put a chapter's line in both languages where its English one stands, and its tools below the title."
    place = r'(<div class="description">\s*(?:<p>)?)(.*?)((?:</p>)?\s*</div>)'
    both = (line or "").replace('<br class="lang-gap">', '<span class="lang-gap"> / </span>')
    text = re.sub(place, lambda m: m[1] + (both or m[2]) + m[3], text, count=1, flags=re.S)
    block = re.compile(r'<header id="title-block-header".*?</header>', re.S)
    return block.sub(lambda m: m[0] + tools, text, count=1)


def finish_page(path: Path, name: str, notebook: dict) -> str:
    "The text of a page, but for its links, its number and what stands under its title."
    text = tidy_signatures(path.read_text(encoding="utf-8"))
    name_of_package = r'(<h3\b[^>]*class=")(anchored"[^>]*>[A-Za-z_][\w.]*</h3>)'
    text = re.sub(name_of_package, r"\1api-name \2", function_spaces(text).replace(*BAR))
    text = mark_languages(text)
    text = re.sub(r'(/nbs/)[\w./-]+\.ipynb(")', rf"\g<1>{name}\2", text)  # `View source`, with its number
    return card(pictures(FROM_ELSEWHERE.sub("", text), path, drawn_sizes(notebook)))


def finish(out: Path) -> None:
    "Finish every page in the folder `out`."
    order, home = reading_order(), out / "index.html"
    notebooks = {name: read(name) for name in order if (out / page_name(name)).exists()}
    numbers = {page_name(name): number for number, name in enumerate(order) if number}  # not the home page
    raw = {page_name(name): (out / page_name(name)).read_text(encoding="utf-8") for name in notebooks}
    ids = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in raw.items()}
    lines = {page: line for page, _, line in rows(raw.get("index.html", ""))}
    for name, notebook in notebooks.items():
        (out / "notebooks" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(NOTEBOOKS / name, out / "notebooks" / name)
        page, text = page_name(name), finish_page(out / page_name(name), name, notebook)
        if page == "index.html":
            text = chapter_map(text, out, notebooks)
        else:
            text = title_block(text, lines.get(page), chapter_tools(name, notebook))
        text = number_chapters(local_links(text, page, ids), page, numbers)
        (out / page).write_text(text, encoding="utf-8")
    if home.exists():
        (out / "404.html").write_text(not_found(home.read_text(encoding="utf-8")), encoding="utf-8")
    markdown_copies(out, {name: read(name) for name in order})


if __name__ == "__main__":
    if os.environ.get("QUARTO_PROJECT_RENDER_ALL"):  # not when only the README is rendered
        finish(Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]))
