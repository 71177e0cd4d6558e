"""The book as its files say it: settings, the reading order, each chapter's page and cells."""

import configparser
import json
import re
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "nbs"


@cache
def settings() -> dict[str, str]:
    "The values of settings.ini."
    parser = configparser.ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return dict(parser["DEFAULT"])


def published() -> str:
    "The address of the site."
    return settings()["doc_host"] + settings()["doc_baseurl"]


def sections() -> dict[str, list[str]]:
    "The notebooks of each section of the sidebar, in reading order; the home page's section has no name."
    listed = yaml.safe_load((NOTEBOOKS / "sidebar.yml").read_text(encoding="utf-8"))
    contents = listed["website"]["sidebar"]["contents"]
    home = {"": [entry for entry in contents if isinstance(entry, str)]}
    return home | {entry["section"]: entry["contents"] for entry in contents if isinstance(entry, dict)}


def reading_order() -> list[str]:
    "Every notebook, from the folder nbs, in reading order."
    return [name for names in sections().values() for name in names]


def page_name(notebook: str) -> str:
    "The page that a notebook becomes: build/10_data.ipynb becomes build/data.html, as nbdev has it."
    return re.sub(r"(^|/)\d+[a-z0-9]*_", r"\1", notebook.lower()).removesuffix(".ipynb") + ".html"


def read(name: str) -> dict:
    "A notebook."
    return json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))


def source(cell: dict) -> str:
    "The text of a cell."
    return "".join(cell["source"])


def only_imports(cell: dict) -> bool:
    "Whether a cell only imports, and sets the style."
    other = re.search(r"^(?!#|from |import |use_style\(\)$|[\s)])", source(cell), re.M)
    return cell["cell_type"] == "code" and "import " in source(cell) and not other


def said(output: dict) -> str:
    "What an output says in words, as Markdown."
    data = output.get("data", {})
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    text = "".join(output.get("text", "" if "image/png" in data else data.get("text/plain", "")))
    return f"```\n{text.rstrip()}\n```" if text.strip() else ""


def cells(notebook: dict, kind: str) -> list[str]:
    "The texts of a notebook's cells of one kind."
    return [source(cell) for cell in notebook["cells"] if cell["cell_type"] == kind]


def is_plumbing(cell: dict) -> bool:
    "Whether a cell does nothing that a learner came for: hidden on the site, or only imports."
    hidden = source(cell).startswith(("#| hide", "#| default_exp"))
    return cell["cell_type"] == "code" and (hidden or only_imports(cell))
