"""Finish a rendered site, whichever builder made it: Quarto and smalldocs both run this after rendering.

It makes the two languages of headings, captions and navigation switchable, turns links to the published site into
links within this one, puts the notebook buttons and the times under each chapter's title, and draws the map of
chapters on the home page with a picture from each.
"""

import base64
import configparser
import hashlib
import html
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "nbs"
HANGUL = re.compile("[가-힣]")
WORDS_A_MINUTE = 230  # silent reading of non-fiction: 238 in English, 226 in Korean (Brysbaert 2019, table 3)
THUMBNAIL = (480, 300)  # at most, in pixels
DATA_URI = re.compile(
    r'<img\b(?P<before>[^>]*?) src="data:image/(?P<kind>\w+);base64,(?P<data>[^"]+)"(?P<after>[^>]*)>'
)
FROM_ELSEWHERE = re.compile(
    r'<(?:link|script)\b[^>]*(?:href|src)="https://[^"]*"[^>]*>(?:</script>)?'
    r"|<script type=\"application/javascript\">define\('jquery'.*?</script>"
)

# Where both languages stand on one line, and what encloses them in both builders.
PAIRS = [
    re.compile(r"(<h[1-6]\b[^>]*>)(.*?)(</h[1-6]>)", re.S),
    re.compile(r"(<figcaption\b[^>]*>)(.*?)(</figcaption>)", re.S),
    re.compile(r'(<span class="(?:menu-text|nav-page-text)">)(.*?)(</span>)', re.S),
    re.compile(r"(<a\b[^>]*\bdata-scroll-target=[^>]*>)(.*?)(</a>)", re.S),
    re.compile(r'(<div class="description">\s*(?:<p>)?)(.*?)((?:</p>)?\s*</div>)', re.S),
    re.compile(r"(<th\b[^>]*>)(.*?)(</th>)", re.S),
    re.compile(r"(<summary>)(.*?)(</summary>)", re.S),
]
# What the builders and nbdev say in English only.
KOREAN = {
    "Exported source": "패키지에 들어가는 코드 / Code of the package",
    "View source": "노트북 원본 / View source",
    "Report an issue": "문제 알리기 / Report an issue",
}


def settings() -> dict[str, str]:
    "The values of settings.ini."
    parser = configparser.ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return dict(parser["DEFAULT"])


def address(config: dict[str, str]) -> str:
    "Where the site is published."
    return config["doc_host"] + config["doc_baseurl"]


def reading_order() -> list[str]:
    "The notebooks as the sidebar lists them."
    return re.findall(r"^ *- (\w+\.ipynb)", (NOTEBOOKS / "sidebar.yml").read_text(encoding="utf-8"), re.M)


def page_name(notebook: str) -> str:
    "The page that a notebook becomes: `10_data.ipynb` becomes `data.html`."
    return re.sub(r"^\d+[a-zA-Z0-9]*_", "", notebook.lower()).removesuffix(".ipynb") + ".html"


def balanced(markup: str) -> bool:
    "Whether every tag that is opened in `markup` is closed in it."
    return len(re.findall(r"<[a-z]", markup)) == markup.count("</")


def two_languages(markup: str) -> tuple[str, str] | None:
    "Korean and English of a line that holds both, as in `손실 / Loss`; None of a line that does not."
    for slash in re.finditer(r"\s+/\s+", markup):
        korean, english = markup[: slash.start()], markup[slash.end() :]
        if HANGUL.search(korean) and not HANGUL.search(english) and balanced(korean) and balanced(english):
            return korean, english
    return None


def both_languages(korean: str, english: str) -> str:
    "Korean and English, each in a span that the switch shows or hides."
    return f'<span lang="ko">{korean}</span><span class="lang-gap"> / </span><span lang="en">{english}</span>'


def translate(text: str) -> str:
    "Add Korean to the few English words that the builders write."
    for english, both in KOREAN.items():
        korean = both.split(" / ")
        text = re.sub(
            rf"(?<=[>\s]){re.escape(english)}(?=</)", lambda _, pair=korean: both_languages(*pair), text
        )
    return text


def mark_code(text: str) -> str:
    "Call code and what it printed English, for screen readers: en-GB, because the switch hides what is en."
    return re.sub(r'(<div\b(?![^>]*\blang=)[^>]*\bclass="cell\b[^>]*)>', r'\1 lang="en-GB">', text)


def mark_languages(text: str) -> str:
    "Put each language of headings, captions, navigation and table heads into a span of its own."

    def mark(match: re.Match) -> str:
        pair = two_languages(match[2])
        if pair is None or "lang=" in match[2]:
            return match[0]
        korean, english = (part.strip() for part in pair)
        return match[1] + both_languages(korean, english) + match[3]

    for place in PAIRS:
        text = place.sub(mark, text)
    return text


def function_spaces(text: str) -> str:
    "Give functions such as log in MathML the thin spaces that TeX gives them and Pandoc does not."
    function = r'(<mi mathvariant="normal">\w+</mi><mo>(?:&#8289;|\u2061)</mo>)</mrow>'
    space = '<mspace width="0.1667em"></mspace>'
    text = re.sub(
        rf"(</mi>|</mn>|</msub>|</msup>|postfix\">[^<]</mo>)<mrow>{function}",
        rf"\1<mrow>{space}\2</mrow>",
        text,
    )
    return re.sub(rf"{function}(?=<m(?!o))(?!<mi>\w+</mi></m(?:sub|sup)>)", rf"\1{space}</mrow>", text)


def local_links(text: str, site: str) -> str:
    "Make links to the published site, which nbdev writes, links within this one."
    return re.sub(
        rf'(<a\b[^>]*\bhref="){re.escape(site)}/?([^"]*")',
        lambda m: m[1] + (m[2] if m[2] != '"' else './"'),
        text,
    )


def tidy_signatures(text: str) -> str:
    "Make links of the Markdown links that nbdev writes into signatures, and take the notebook's own name out."
    link = re.compile(r"\[`([\w.()]+)`\]\((https://[^)\s]+)\)")
    notebook = re.compile(r'\b__main__(?:\.|<span class="op">\.</span>)')

    def tidy(code: re.Match) -> str:
        return notebook.sub("", link.sub(r'<a href="\2">\1</a>', code[0]))

    return re.sub(r"<pre\b.*?</pre>", tidy, text, flags=re.S)


def cell_text(cell: dict) -> str:
    "The source of a cell."
    return "".join(cell["source"])


def shown(cell: dict) -> bool:
    "Whether a reader of the site sees this cell."
    return not re.search(r"^#\|\s*(hide|default_exp|include:\s*false)", cell_text(cell), re.M)


def reading_minutes(notebook: dict) -> dict[str, int]:
    "Minutes to read a notebook's prose and code, for each language."
    words = {"ko": 0, "en": 0}
    for cell in filter(shown, notebook["cells"]):
        text = cell_text(cell)
        blocks = re.findall(r'<(?:div|span) lang="(ko|en)">(.*?)</(?:div|span)>', text, re.S)
        for language, block in blocks:
            words[language] += len(block.split())
        if not blocks:
            for language in words:
                words[language] += len(text.split())
    return {language: max(1, round(count / WORDS_A_MINUTE)) for language, count in words.items()}


def seconds_text(seconds: float) -> dict[str, str]:
    "A duration for readers."
    if seconds < 90:
        return {"ko": f"{round(seconds)}초", "en": f"{round(seconds)} s"}
    return {"ko": f"{round(seconds / 60)}분", "en": f"{round(seconds / 60)} min"}


def times(notebook: dict) -> str:
    "How long a chapter takes to read and, where it was measured when its outputs were made, to run."
    minutes, parts = reading_minutes(notebook), {"ko": [], "en": []}
    parts["ko"].append(f"읽기 {minutes['ko']}분")
    parts["en"].append(f"{minutes['en']} min read")
    if run := notebook["metadata"].get("run_seconds"):
        cpus = notebook["metadata"]["run_cpus"]
        parts["ko"].append(f"실행 {seconds_text(run)['ko']} (CPU {cpus}개)")
        parts["en"].append(f"runs in {seconds_text(run)['en']} on {cpus} CPUs")
    return both_languages(*(" · ".join(texts) for texts in parts.values()))


def chapter_tools(name: str, notebook: dict, config: dict[str, str]) -> str:
    "The line under a chapter's title: times, Colab, download."
    colab = f"https://colab.research.google.com/github/{config['user']}/{config['repo']}/blob/{config['branch']}/nbs/{name}"
    return (
        f'<div class="chapter-tools"><span class="chapter-times">{times(notebook)}</span>'
        f'<a class="chapter-button" href="{colab}">{both_languages("Colab에서 열기", "Open in Colab")}</a>'
        f'<a class="chapter-button" href="notebooks/{name}" download>'
        f"{both_languages('노트북 내려받기', 'Download notebook')}</a></div>"
    )


def size_attributes(data: bytes, given: str, drawn: tuple[int, int] | None) -> str:
    "The width and height that a picture's tag lacks, so that the page keeps room for it before it is loaded."
    if "height=" in given:
        return ""
    with Image.open(io.BytesIO(data)) as image:
        width, height = drawn or image.size
    if asked := re.search(r'width="(\d+)"', given):
        return f' height="{round(int(asked[1]) * height / width)}"'
    return f' width="{width}" height="{height}"'


def digest(data: bytes) -> str:
    "A key for a picture."
    return hashlib.sha256(data).hexdigest()


def drawn_sizes(notebook: dict) -> dict[str, tuple[int, int]]:
    "The size in CSS pixels of each picture of a notebook that says it: figures are saved at twice that."
    sizes = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            size = output.get("metadata", {}).get("image/png", {})
            if "image/png" in output.get("data", {}) and "width" in size:
                data = base64.b64decode("".join(output["data"]["image/png"]))
                sizes[digest(data)] = (size["width"], size["height"])
    return sizes


def pictures_in_files(text: str, page: Path, sizes: dict[str, tuple[int, int]]) -> str:
    "Replace each picture that is written into the page by a link to a file."
    folder = page.parent / f"{page.stem}_files"
    known = {digest(path.read_bytes()): path for path in folder.rglob("*") if path.is_file()}

    def link(match: re.Match) -> str:
        data = base64.b64decode(match["data"])
        key = digest(data)
        if key not in known:
            folder.mkdir(exist_ok=True)
            known[key] = folder / f"{page.stem}-{key[:12]}.{match['kind']}"
            known[key].write_bytes(data)
        given = match["before"] + match["after"]
        alt = "" if 'alt="' in given else ' alt=""'
        size = size_attributes(data, given, sizes.get(key))
        path = known[key].relative_to(page.parent).as_posix()
        return f'<img{match["before"]} src="{path}"{alt}{size} loading="lazy"{match["after"]}>'

    return DATA_URI.sub(link, text)


def sized_pictures(text: str, out: Path) -> str:
    "Give a picture in a file the width and height that its tag lacks."

    def size(match: re.Match) -> str:
        return f"<img{size_attributes((out / match['path']).read_bytes(), match[0], None)}{match[0][4:]}"

    return re.sub(r'<img\b[^>]*src="(?P<path>[\w.-]+_files/[^"]+)"[^>]*>', size, text)


def name_headings(text: str) -> str:
    "Mark the headings that are names of the package."
    return re.sub(r'(<h3\b[^>]*class=")(anchored"[^>]*>[A-Za-z_][\w.]*</h3>)', r"\1api-name \2", text)


def card(text: str, site: str) -> str:
    "Let every page be shared with the card of the site: Quarto takes the first picture, transparent or inlined."
    kinds = r'<meta (?:property|name)="(?:og|twitter):image'
    text = re.sub(rf'{kinds}(?::alt|[:-]height|[:-]width)" content="[^"]*">\n?', "", text)
    return re.sub(rf'({kinds}" content=")[^"]*', rf"\g<1>{site}/assets/card.png", text)


def said(output: dict) -> str:
    "What an output says in words."
    data = output.get("data", {})
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    text = "".join(output.get("text", "" if "image/png" in data else data.get("text/plain", "")))
    return f"```\n{text.rstrip()}\n```" if text.strip() else ""


def markdown_copy(notebook: dict, pages: dict[str, str], site: str) -> str:
    "A chapter as Markdown, for programs that read: prose, code, what it prints, and what its figures show."
    parts = []
    for cell in notebook["cells"]:
        text = cell_text(cell).strip()
        if cell["cell_type"] == "markdown":
            parts.append(text)
        elif cell["cell_type"] == "code" and shown(cell):
            code = re.sub(r"^#\|.*\n", "", text, flags=re.M)
            parts += [f"```python\n{code}\n```", *map(said, cell["outputs"])]
            parts += [f"({alt})" for alt in re.findall(r'^#\| fig-alt: "(.*)"', text, re.M)]
    linked = re.compile(r"\]\((" + "|".join(map(re.escape, pages)) + r")\b")
    return linked.sub(lambda m: f"]({site}/{pages[m[1]]}", "\n\n".join(filter(None, parts))) + "\n"


def markdown_copies(
    out: Path, names: dict[str, str], notebooks: dict[str, dict], config: dict[str, str]
) -> None:
    "Write every chapter's Markdown copy, and llms.txt, which lists them in reading order."
    site, pages = address(config), {name: page for page, name in names.items()}
    lines = [f"# {config['title']}", "", f"> {config['description']}", "", "## Pages", ""]
    for page, notebook in notebooks.items():
        copy = out / page.replace(".html", ".llms.md")
        text = markdown_copy(notebook, pages, site)
        copy.write_text(text, encoding="utf-8")
        lines.append(f"- [{re.search('^# (.*)$', text, re.M)[1]}]({site}/{copy.name})")
    (out / "llms.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


NOT_FOUND = """<h1>없는 쪽입니다 / No such page</h1>
<div lang="ko"><p>주소가 바뀌었거나 잘못 적혔습니다. <a href="index.html">첫 쪽</a>에 모든 장이 있습니다.</p></div>
<div lang="en"><p>The address has changed or is mistyped. <a href="index.html">The home page</a> lists all chapters.</p></div>"""


def not_found(home: str, config: dict[str, str]) -> str:
    "The page for an address that leads nowhere, at whatever depth: the home page's frame with other words."
    text = re.sub(
        r"(<main\b[^>]*>).*(</main>)", lambda m: m[1] + mark_languages(NOT_FOUND) + m[2], home, flags=re.S
    )
    return text.replace("<head>", f'<head>\n<base href="{urlsplit(address(config)).path}/">', 1)


def number_title(text: str, number: int) -> str:
    "Put a chapter's number before its title."
    return re.sub(
        r'(<h1 class="title[^>]*>)', rf'\g<1><span class="chapter-number">{number}</span> ', text, count=1
    )


def number_chapters(text: str, numbers: dict[str, int]) -> str:
    "Number the chapters as the reader meets them, in the sidebar and on the home page's cards."

    def numbered(match: re.Match) -> str:
        number = numbers.get(match["page"])
        return match[0] + (f'<span class="chapter-number">{number}</span> ' if number else "")

    link = r'href="(?:\./)?(?P<page>[\w.-]+\.html)"'
    in_sidebar = rf'<a {link} class="sidebar-item-text[^>]*>\s*<span class="menu-text">'
    on_card = rf'<a class="chapter-card" {link}>.*?<span class="chapter-title">'
    return re.sub(on_card, numbered, re.sub(in_sidebar, numbered, text), flags=re.S)


def under_title(text: str, addition: str) -> str:
    "Put `addition` at the end of the page's title block."
    block = re.search(r'<header id="title-block-header".*?</header>', text, re.S)
    return text if block is None else text[: block.end()] + addition + text[block.end() :]


def chapter_picture(notebook: dict) -> bytes | None:
    "The figure that stands for a chapter: one whose cell says `#| thumbnail: true`, else the first."
    found = []
    for cell in filter(shown, notebook["cells"]):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                chosen = re.search(r"^#\|\s*thumbnail:\s*true", cell_text(cell), re.M)
                found.append((not chosen, base64.b64decode("".join(output["data"]["image/png"]))))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def save_thumbnail(picture: bytes, path: Path) -> tuple[int, int]:
    "Save a small copy and return its width and height."
    path.parent.mkdir(exist_ok=True)
    with Image.open(io.BytesIO(picture)) as image:
        image = image.convert("RGBA")
        image.thumbnail(THUMBNAIL)
        image.save(path, optimize=True)
        return image.size


def chapter_code(notebook: dict) -> str:
    "The beginning of a chapter's first function or class of some length, for a chapter without a figure."
    for cell in notebook["cells"]:
        start = re.search(r"^(?:@.*\n)?(?:def|class) (?:.*\n){4}", cell_text(cell), re.M)
        if cell["cell_type"] == "code" and start:
            lines = cell_text(cell)[start.start() :].splitlines()[:7]
            return html.escape("\n".join(lines), quote=False)
    return ""


def chapter_card(row: str, out: Path, notebooks: dict[str, dict]) -> str:
    "A row of the home page's table of chapters as a card, with the chapter's picture and times."
    cells = re.findall(r"<td\b[^>]*>(.*?)</td>", row, re.S)
    page = re.search(r'href="([\w.-]+\.html)"', cells[0])[1]
    title = both_languages(*two_languages(re.sub(r"</?a\b[^>]*>", "", cells[0])))
    if page not in notebooks:
        sys.exit(f"the home page lists {page}, and no chapter becomes it")
    notebook, picture = notebooks[page], ""
    if data := chapter_picture(notebook):
        path = out / "thumbnails" / f"{Path(page).stem}.png"
        width, height = save_thumbnail(data, path)
        picture = (
            f'<img src="thumbnails/{path.name}" alt="" width="{width}" height="{height}" loading="lazy">'
        )
    elif code := chapter_code(notebook):
        picture = f'<code class="chapter-code" lang="en-GB" aria-hidden="true">{code}</code>'
    return (
        f'<li><a class="chapter-card" href="{page}"><span class="chapter-picture">{picture}</span>'
        f'<span class="chapter-title">{title}</span><span class="chapter-about">{cells[1]}</span>'
        f'<span class="chapter-times">{times(notebook)}</span></a></li>'
    )


def chapter_map(text: str, out: Path, notebooks: dict[str, dict]) -> str:
    "Turn the tables of chapters on the home page into cards."

    def cards(match: re.Match) -> str:
        rows = [row for row in re.findall(r"<tr\b[^>]*>(.*?)</tr>", match[2], re.S) if "<td" in row]
        return (
            '<ul class="chapter-map">' + "".join(chapter_card(row, out, notebooks) for row in rows) + "</ul>"
        )

    table = r'(?:<div class="sd-table">\s*)?<table\b[^>]*>(?:(?!</table>).)*</table>(?:\s*</div>)?'
    return re.sub(rf'(<div class="chapters">\s*)({table})(\s*</div>)', cards, text, flags=re.S)


def abouts(text: str) -> dict[str, str]:
    "What the home page says of each chapter in both languages, by page."
    found = {}
    for row in re.findall(r"<tr\b[^>]*>(.*?)</tr>", text, re.S):
        cells = re.findall(r"<td\b[^>]*>(.*?)</td>", row, re.S)
        if cells and (page := re.search(r'href="([\w.-]+\.html)"', cells[0])):
            found[page[1]] = re.sub(r"<br\s*/?>", '<span class="lang-gap"> / </span>', cells[1])
    return found


def describe(text: str, about: str | None) -> str:
    "Put a chapter's line in both languages where its English one stands."
    if about is None:
        return text
    place = r'(<div class="description">\s*(?:<p>)?)(.*?)((?:</p>)?\s*</div>)'
    return re.sub(place, lambda m: m[1] + about + m[3], text, count=1, flags=re.S)


def number_source_links(text: str, name: str) -> str:
    "Let `View source` lead to the notebook under its own name, with its number."
    return re.sub(r'(/nbs/)[\w.-]+\.ipynb(")', lambda m: f"{m[1]}{name}{m[2]}", text)


def finish(out: Path) -> None:
    "Finish every page in the folder `out`."
    config = settings()
    site = address(config)
    names = {page_name(name): name for name in reading_order()}
    numbers = {page: number for number, page in enumerate(names) if number}  # the home page has none
    notebooks = {
        page: json.loads((NOTEBOOKS / name).read_text(encoding="utf-8")) for page, name in names.items()
    }
    (out / "notebooks").mkdir(exist_ok=True)
    home = out / "index.html"
    about = abouts(local_links(home.read_text(encoding="utf-8"), site)) if home.exists() else {}
    for page, name in names.items():
        path = out / page
        if not path.exists():
            continue
        shutil.copy(NOTEBOOKS / name, out / "notebooks" / name)
        text = local_links(tidy_signatures(path.read_text(encoding="utf-8")), site)
        text = mark_languages(mark_code(translate(text)))
        text = name_headings(function_spaces(number_source_links(text, name)))
        text = pictures_in_files(FROM_ELSEWHERE.sub("", text), path, drawn_sizes(notebooks[page]))
        text = card(sized_pictures(text, out), site)
        if page == "index.html":
            text = chapter_map(text, out, notebooks)
            (out / "404.html").write_text(not_found(number_chapters(text, numbers), config), encoding="utf-8")
        else:
            text = describe(text, about.get(page))
            text = under_title(text, chapter_tools(name, notebooks[page], config))
            text = number_title(text, numbers[page])
        path.write_text(number_chapters(text, numbers), encoding="utf-8")
    markdown_copies(out, names, notebooks, config)


if __name__ == "__main__":
    if os.environ.get("QUARTO_PROJECT_RENDER_ALL"):  # not when only the README is rendered
        finish(Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]))
