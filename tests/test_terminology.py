"""The chapters use the words of TERMINOLOGY.md and none that it rules out."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "nbs").rglob("*.ipynb"))


def terms():
    "The rows of the table: Korean, English, code and the list of words not to use."
    lines = [
        line
        for line in (ROOT / "TERMINOLOGY.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert header == ["한국어", "English", "code", "not"]
    assert all(len(row) == 4 for row in rows)
    return [(*row[:3], [word.strip() for word in row[3].split(",") if word.strip()]) for row in rows]


def prose(cell):
    "The words of a Markdown cell, without code, formulas, link targets and titles in italics."
    text = re.sub(r"```.*?```", " ", cell, flags=re.S)
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]*`|\]\([^)]*\)", " ", text, flags=re.S)
    return re.sub(r"(?<!\*)\*(?!\*)[^*\n]+\*(?!\*)", " ", text)


def ruled_out(text):
    "The words in text that the table rules out."
    found = []
    for korean, english, _, words in terms():
        for word in words:
            pattern = rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word)
            if re.search(pattern, text, flags=re.I):
                found.append(f"{word} (use {korean} / {english})")
    return found


def test_table():
    rows = terms()
    names = [row[0] for row in rows]
    assert len(rows) >= 40 and len(set(names)) == len(names)
    assert all(korean and english for korean, english, _, _ in rows)
    for name in [name for row in rows for name in (*row[0].split(", "), *row[1].split(", "))]:
        assert not ruled_out(name), name


def test_it_finds_what_it_should():
    assert ruled_out(prose("라벨을 붙입니다")) and ruled_out(prose("one mini-batch"))
    assert not ruled_out(prose("`mini-batch`, *Batch normalization: a title* and a normal optimizer"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    found = [
        f"{word}: {''.join(cell['source'])[:60]!r}"
        for cell in cells
        if cell["cell_type"] == "markdown"
        for word in ruled_out(prose("".join(cell["source"])))
    ]
    assert not found, "\n".join(found)
