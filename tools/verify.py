"""Hold the numbers of the prose to the result files: `make verify`, seconds, without TensorFlow.

nbs/results/claims.toml has a table for each page: an expression, and the words that the page must contain, in each of
its languages: `"fd('dcgan')" = ["거리는 {:.2f}", "a distance of {:.2f}"]`. If the words have no {}, the expression must be
true. It may use the result files and the table `names` of claims.toml, `np`, `stats`, what is imported below from
`trials`, and `printed("# of #")`: rows of numbers that cells of the page have printed, for what no file holds.

Where there is a git history, it also looks whether each rule of nbs/results/ledger.json was committed before the first
result that it was used for.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from chapters import ROOT, source
from scipy import stats

from learning_gan.trials.studies import FAILED, differences, holm, interval, judge

NUMBER = r"([-−+]?\d[\d,]*(?:\.\d+)?)"
HOLE = re.compile(r"\{[^{}]*\}")
TOOLS = dict(
    np=np, stats=stats, interval=interval, FAILED=FAILED, differences=differences, holm=holm, judge=judge
)


def plain(text: str) -> str:
    "A text as it is compared: without tags and bold, and with one space between words."
    return " ".join(re.sub(r"&nbsp;|</?[a-z][^>]*>|\u2060", " ", text.replace("**", "")).split())


def made(cell: dict) -> str:
    "What a cell has printed, and its tables."
    datas = [output.get("data", {"text/plain": output.get("text", "")}) for output in cell.get("outputs", [])]
    return "\n".join("".join(data.get("text/markdown", data.get("text/plain", ""))) for data in datas)


class Page:
    "A notebook or a Markdown file, and what its cells have made."

    def __init__(self, path: Path):
        text = path.read_text(encoding="utf-8")
        cells = json.loads(text)["cells"] if path.suffix == ".ipynb" else []
        self.made = plain("\n".join(map(made, cells)))
        self.text = plain("\n".join(map(source, cells)) or text) + " " + self.made

    def printed(self, pattern: str) -> list[tuple[float, ...]]:
        "The numbers at the places of # in all matches of a pattern among what cells have printed."
        found = re.findall(NUMBER.join(map(re.escape, pattern.split("#"))), self.made)
        if not found:
            raise LookupError(f"no cell has printed {pattern!r}")
        rows = ([each] if isinstance(each, str) else each for each in found)
        return [tuple(float(number.replace(",", "").replace("−", "-")) for number in row) for row in rows]

    def fault(self, words: str, value, files: str) -> str | None:
        "What is wrong with some words, if anything is."
        right = plain(words.format(*value) if HOLE.search(words) else words)
        if right in self.text:
            return None if HOLE.search(words) or value else f"says {right!r}, the files have {files}"
        found = re.search(NUMBER.join(map(re.escape, HOLE.split(plain(words)))), self.text)
        return f"says {found[0]!r}, the files {right!r}" if found else f"no longer says {words!r}"

    def faults(self, expression: str, all_words: list[str], names: dict) -> list[str]:
        "What is wrong with a claim in any language."
        names = names | {"printed": self.printed}
        try:
            value = eval(f"({expression})", names)
        except (LookupError, NameError) as error:  # nothing printed so, or no such result
            return [str(error)]
        tree = ast.parse(f"({expression})", mode="eval").body
        parts = [tree.left, *tree.comparators] if isinstance(tree, ast.Compare) else [tree]
        files = " | ".join(f"{eval(ast.unparse(part), names)}" for part in parts)
        value = (value,) if HOLE.search(all_words[0]) and not isinstance(value, (tuple, list)) else value
        return [found for words in all_words if (found := self.fault(words, value, files))]


def claims(root: Path) -> Iterator[tuple[str, Page, str, list[str], dict]]:
    "Each claim: the page's name, the page, the expression, the words and the names that it may use."
    folder = root / "nbs" / "results"
    files = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")}
    tables, names = tomllib.loads((folder / "claims.toml").read_text(encoding="utf-8")), TOOLS | files
    for name, expression in tables.pop("names").items():
        names[name] = eval(expression, names)
    for name, table in tables.items():
        page = Page(root / name)
        yield from ((name, page, expression, words, names) for expression, words in table.items())


def verify(root: Path = ROOT) -> tuple[int, list[str]]:
    "How many claims there are, and what is wrong."
    count, wrong = 0, []
    for name, page, expression, words, names in claims(root):
        count += len(words)
        wrong += [f"{name}: {fault}" for fault in page.faults(expression, words, names)]
    return count, wrong


def late(root: Path = ROOT) -> tuple[int, list[str]]:
    "How many rules of the ledger there are, and those that did not come before their results; 0 without a history."
    git = ["git", "-c", f"safe.directory={root}", "-C", str(root)]
    shallow = subprocess.run([*git, "rev-parse", "--is-shallow-repository"], capture_output=True, text=True)
    if shallow.stdout.strip() != "false":
        return 0, []
    ledger = json.loads((root / "nbs" / "results" / "ledger.json").read_text(encoding="utf-8"))
    wrong = []
    for rule in ledger["rules"]:
        pair = rule["set"], rule["first"]
        order = subprocess.run([*git, "merge-base", "--is-ancestor", *pair], capture_output=True)
        if order.returncode or len({*pair}) < 2:
            wrong.append(f"ledger.json: {pair[0]} is not before {pair[1]} ({rule['rule']['en']})")
    return len(ledger["rules"]), wrong


if __name__ == "__main__":
    count, wrong = verify()
    rules, too_late = late()
    if wrong or too_late:
        sys.exit("\n  ".join(["Text, result files and history differ:", *wrong, *too_late]))
    print(f"{count} claims of the text agree with the result files; {rules} rules came before their results.")
