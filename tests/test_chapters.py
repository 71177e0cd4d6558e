"""What every chapter keeps to: two languages that say the same, the words of TERMINOLOGY.md, captions, clean outputs."""

import ast
import re
from functools import cache

import chapters
import yaml
from chapters import NOTEBOOKS, ROOT, cells, page_name, reading_order, source

HANGUL = re.compile("[가-힣]")
BLOCK = re.compile(r'^<div lang="(ko|en)">\n\n(.*?)\n\n</div>$', re.S | re.M)
SPAN = re.compile(r'<span lang="(ko|en)">(.*?)</span>', re.S)
PARTS = [r"^ *[-*] ", r"^ *\d+\. ", r"^\|", r"\$\$", r"^> \*\*2017 → (?:지금|now)\*\*", r"^```"]

read = cache(chapters.read)


def rule(broken):
    "A test of one rule: `broken(name, notebook)` says where a chapter breaks it."

    def test():
        found = [f"{name}: {what}" for name in reading_order() for what in broken(name, read(name))]
        assert not found, "\n" + "\n".join(found)

    test.__doc__ = broken.__doc__
    return test


def both(text: str) -> bool:
    "Is this `한국어 / English`?"
    korean, slash, english = text.partition(" / ")
    return bool(slash and HANGUL.search(korean) and not HANGUL.search(english))


def test_the_sidebar_holds_every_chapter_in_order():
    on_disk = {path.relative_to(NOTEBOOKS).as_posix() for path in NOTEBOOKS.rglob("*.ipynb")}
    order = reading_order()
    assert sorted(order) == sorted(on_disk)
    book = [name.split("/")[-1] for name in order if not name.startswith(("index", "machine/"))]
    assert book == sorted(book)  # the machine room has an order of its own
    folders = [{name.split("/")[0] for name in names} for names in chapters.sections().values()]
    assert all(len(holds) == 1 for holds in folders[1:]), "a section holds chapters of several folders"
    assert len({page_name(name).split("/")[-1] for name in order}) == len(order)


def length(text: str) -> int:
    "How much there is to read: a Hangul syllable says about as much as two Latin letters; code and formulas are the same."
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`|\]\([^)]*\)|<[^>]+>", "", text, flags=re.S)
    return 2 * len(HANGUL.findall(text)) + len(re.findall(r"[A-Za-z0-9]", text))


def test_length_makes_little_of_scripts_and_much_of_a_missing_sentence():
    korean, english = "생성기는 노이즈에서 이미지를 만듭니다.", "The generator makes images from noise."
    assert 0.6 < length(korean) / length(english) < 1.7 and length(english) > 2.5 * length("노이즈입니다.")


@rule
def test_blocks_come_in_pairs_and_without_fences_that_jupyter_shows_as_text(name, notebook):
    "Korean, then English, in the same cell, each closed and with its blank lines."
    for cell in cells(notebook, "markdown"):
        languages = [match[1] for match in BLOCK.finditer(cell)]
        closed = len(re.findall(r"^</div>$", BLOCK.sub("</div>", cell), re.M))
        closed -= cell.count('<div class="chapters">')
        paired = languages == ["ko", "en"] * (len(languages) // 2) and ":::" not in cell
        if not paired or not cell.count("<div lang=") == closed == len(languages):
            yield cell[:200]


@rule
def test_a_pair_says_the_same(name, notebook):
    "As much in Korean as in English, within a factor of 2.5, each in its script, with as many items, rows and formulas."
    for cell in cells(notebook, "markdown"):
        for kind in (list(BLOCK.finditer(cell)), list(SPAN.finditer(BLOCK.sub("", cell)))):
            for korean, english in zip(kind[::2], kind[1::2], strict=True):
                less, more = sorted([length(korean[2]), length(english[2])])
                foreign = HANGUL.search(re.sub(r"`[^`]*`|\"[^\"]*\"|\([^)]*\)", "", english[2]))
                written = (korean[1], english[1]) == ("ko", "en") and HANGUL.search(korean[2]) and not foreign
                if not written or not less or more > max(2.5 * less, 29):
                    yield f"{less}, {more}: {cell[:200]}"
                for part in PARTS:
                    counts = [len(re.findall(part, text[2], re.M)) for text in (korean, english)]
                    if counts[0] != counts[1]:
                        yield f"{part}: {counts} in {cell[:200]}"


@rule
def test_headings_hold_both_languages_and_stand_outside_the_blocks(name, notebook):
    for cell in cells(notebook, "markdown"):
        outside = re.sub(r"```.*?```", "", BLOCK.sub("", cell), flags=re.S)
        yield from (heading for heading in re.findall(r"^#+ (.*)$", outside, re.M) if not both(heading))
        inside = "\n".join(re.sub(r"```.*?```", "", block[2], flags=re.S) for block in BLOCK.finditer(cell))
        yield from re.findall(r"^#+ .*", inside, re.M)


@rule
def test_korean_prose_stays_in_its_blocks(name, notebook):
    for cell in cells(notebook, "markdown"):
        outside = re.sub(r'<(div|span) lang="ko">.*?</\1>|^#.*$', "", cell, flags=re.S | re.M)
        outside = re.sub(r"^\| (\[.*? / .*?\]|장 / Chapter \| 내용 / What it holds)", "", outside, flags=re.M)
        if HANGUL.search(outside) and not (name == "index.ipynb" and cell.startswith("# ")):
            yield outside.strip()[:200]


@rule
def test_the_first_cell_is_the_title_and_a_line_about_it(name, notebook):
    "The title, in both languages, and a line in English, for it becomes the module's docstring; then the cell for Colab."
    title, _, about = cells(notebook, "markdown")[0].partition("\n\n")
    if not re.fullmatch(r"# [^\n]+", title) or not re.fullmatch(r"> \S[^\n]*", about):
        yield title
    if HANGUL.search(about) and name != "index.ipynb":
        yield about
    opening = cells(notebook, "code")[0]
    if opening != cells(read("index.ipynb"), "code")[0] or "%pip install -q git+https://" not in opening:
        yield f"another cell for Colab: {opening[:100]}"


def test_the_home_page_says_what_each_chapter_says():
    "The line under a chapter's title stands on the home page as well, with the Korean that the site puts beside it."
    table = "\n".join(cells(read("index.ipynb"), "markdown"))
    rows = dict(re.findall(rf"^\| \[(.*?)\]\({re.escape(chapters.published())}/(\S+)\) \|", table, re.M))
    listed = {}
    for name in reading_order()[1:]:
        title, about = (line[2:] for line in cells(read(name), "markdown")[0].split("\n\n"))
        listed[title] = page_name(name)
        row = re.search(rf"^\| \[{re.escape(title)}\]\(\S+\) \| (.*) \|$", table, re.M)
        assert row, f"{name} is not on the home page, or under another title"
        korean, english = SPAN.findall(row[1])
        assert english == ("en", about) and korean[0] == "ko" and HANGUL.search(korean[1]), name
    assert list(rows.items()) == list(listed.items())


def terms() -> list[tuple[str, str, list[str]]]:
    "The rows of the table: Korean, English and the words not to use."
    lines = (ROOT / "TERMINOLOGY.md").read_text(encoding="utf-8").splitlines()
    first, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    assert first == ["한국어", "English", "code", "not"]
    return [(row[0], row[1], [word for word in re.split(" *, *", row[3]) if word]) for row in rows]


def prose(cell: str) -> str:
    "The words of a Markdown cell, without code, formulas, link targets and titles in italics."
    cell = re.sub(r"```.*?```", " ", cell, flags=re.S)
    cell = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]*`|\]\([^)]*\)", " ", cell, flags=re.S)
    return re.sub(r"(?<!\*)\*(?!\*)[^*\n]+\*(?!\*)", " ", cell)


RULED_OUT = {
    word: (re.compile(rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word), re.I), use)
    for *use, words in terms()
    for word in words
}


def ruled_out(text: str) -> list[str]:
    "The words in a text that the table rules out."
    return [f"{word} (use {' / '.join(use)})" for word, (at, use) in RULED_OUT.items() if at.search(text)]


def test_the_table_of_terms_keeps_to_itself():
    rows = terms()
    assert len(rows) >= 40 and len({korean for korean, _, _ in rows}) == len(rows)
    names = [name for korean, english, _ in rows for name in (*korean.split(", "), *english.split(", "))]
    assert all(names) and [name for name in names if ruled_out(name)] == []
    assert ruled_out(prose("라벨을 붙입니다")) and ruled_out(prose("one mini-batch"))
    assert not ruled_out(prose("`mini-batch`, *Batch normalization: a title* and a normal optimizer"))


@rule
def test_words_are_those_of_the_table(name, notebook):
    for cell in cells(notebook, "markdown"):
        yield from (f"{word}: {cell[:60]!r}" for word in ruled_out(prose(cell)))


def glosses(texts: dict[str, str]) -> list[str]:
    "Where the English of a Korean term is told again, or not where the term is first met, in texts in reading order."
    found = []
    for korean, english, _ in terms():
        for one, other in zip(korean.split(", "), english.split(", "), strict=True):
            told = rf"{re.escape(one)}\s?\(\s*{re.escape(other)}s?\b[^)]*\)"
            places = [name for name, text in texts.items() for _ in re.findall(told, text, re.I)]
            first = next((name for name, text in texts.items() if one in text), None)
            found += [f"{name}: {one}({other}) again, after {places[0]}" for name in places[1:]]
            if places and not re.match(told, texts[first][texts[first].index(one) :], re.I):
                found.append(f"{places[0]}: {one}({other}) comes late, {one} is first met in {first}")
    return found


def test_the_english_of_a_term_is_told_once_where_it_is_first_met():
    again = ["b: 생성기(generator) again, after a"]
    assert glosses({"a": "생성기(generator)와 생성기", "b": "생성기 (generator)"}) == again
    assert len(glosses({"a": "생성기", "b": "생성기(generator)"})) == 1 and not glosses({"a": "생성기"})
    texts = {}
    for name in reading_order()[1:]:
        whole = "\n\n".join(cells(read(name), "markdown"))
        blocks = BLOCK.findall(whole) + SPAN.findall(BLOCK.sub("", whole))
        korean = "\n".join(text for language, text in blocks if language == "ko")
        texts[name] = re.sub(r"`[^`\n]*`|\]\([^)]*\)", " ", korean)
    assert not (found := glosses(texts)), "\n" + "\n".join(found)


@rule
def test_figures_have_captions_and_alternative_texts(name, notebook):
    "Every saved picture says what it shows, in both languages."
    for cell in notebook["cells"]:
        kinds = [kind for output in cell.get("outputs", []) for kind in output.get("data", {})]
        if any(kind.startswith("image/") for kind in kinds):
            lines = [line[2:].strip() for line in source(cell).splitlines() if re.match(r"#\| [\w-]+:", line)]
            options = yaml.safe_load("\n".join(lines)) or {}
            for key in ("fig-cap", "fig-alt"):
                said = options.get(key) or ""
                if not all(map(both, said if isinstance(said, list) else [said])):
                    yield f"{key} of {source(cell)[:200]}"


@rule
def test_saved_outputs_hold_no_noise_and_readers_see_the_code(name, notebook):
    "No warnings, bars or errors. Exports are `exports`, which the site shows; of `export` the reader sees a signature."
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        if output["output_type"] == "error" or output.get("name") == "stderr":
            yield "".join(output.get("text", "an error"))[:300]
    yield from (cell[:200] for cell in cells(notebook, "code") if re.match(r"#\| export\s*$", cell, re.M))


@rule
def test_imports_stand_alone(name, notebook):
    "To make the site, nbdev runs every cell that imports; more than imports in it would fail or take time there."
    code, imports = cells(notebook, "code"), (ast.Import, ast.ImportFrom)
    if not any(cell.startswith("#| exports") for cell in code):
        return  # nothing to document, nothing is run
    for cell in code:
        if not re.match(r"#\| (exports|eval: false)|#\| hide\nfrom importlib.util", cell):
            tree = ast.parse(cell)
            if any(isinstance(node, imports) for node in ast.walk(tree)):
                rest = {ast.unparse(node) for node in tree.body if not isinstance(node, imports)}
                yield from (f"{statement[:100]} beside imports" for statement in rest - {"use_style()"})


@rule
def test_plumbing_is_folded_in_jupyter(name, notebook):
    "The first screen in JupyterLab is the chapter's title and words, not its imports."
    for cell in filter(chapters.is_plumbing, notebook["cells"]):
        if not cell["metadata"].get("jupyter", {}).get("source_hidden"):
            yield source(cell)[:100]
