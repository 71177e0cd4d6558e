"""Build the site into _docs: with Quarto where it is installed, with smalldocs where not.

Both read the notebooks that nbdev has processed into _proc and the options in _quarto.yml, and both run
tools/finish_site.py when they are done. What follows here is only what smalldocs does not do by itself: name the
pages as nbdev and Quarto do, write formulas as MathML, and mend its markup.
"""

import argparse
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbdev.doclinks
import pypandoc
from chapters import ROOT, only_imports, page_name, reading_order, source
from finish_site import function_spaces
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs

QUARTO_ONLY = ("html-math-method", "respect-user-color-scheme", "toc-expand")  # of _quarto.yml; see there
MATH = re.compile(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', re.S)


def process() -> Path:
    "Do what nbdev_docs does before it calls Quarto, and return the folder of processed notebooks."
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning"  # chapters set the style where they import
    refresh_quarto_yml()
    nbdev.doclinks._build_modidx()
    try:
        processed = proc_nbs(force=True, n_workers=os.cpu_count())
    except Exception as error:
        sys.exit(f"{error}\n(To make the site, nbdev runs cells that import, export or show documentation.)")
    for path in processed.rglob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        in_order(notebook["cells"])
        path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")
    return processed


def in_order(cells: list[dict]) -> None:
    "Put imports above names, and names above their code: nbdev puts a name above all that is exported before it."
    for place in range(1, len(cells)):
        while place and to_be_swapped(*cells[place - 1 : place + 1]):
            cells[place - 1 : place + 1] = cells[place], cells[place - 1]
            place -= 1


def to_be_swapped(above: dict, below: dict) -> bool:
    "Whether two neighbours are imports below a name, or a name below its code."
    if name := re.search(r"^show_doc\((\w+)\)", source(below), re.M):
        return bool(re.search(rf"^(def|class) {name[1]}\b", source(above), re.M))
    return "show_doc(" in source(above) and only_imports(below)


def stage(processed: Path, target: Path) -> None:
    "Copy the processed notebooks to `target` under the names of their pages, and their links with them."
    names = {name: page_name(name).replace(".html", ".ipynb") for name in reading_order()}
    shutil.copytree(processed, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ipynb", "_docs"))
    link = re.compile(r"(\]\(|^ *- )([\w./-]+\.ipynb)\b", re.M)

    def renamed(text: str) -> str:
        return link.sub(lambda m: m[1] + page_name(m[2]).replace(".html", ".ipynb"), text)

    for old, new in names.items():
        notebook = json.loads((processed / old).read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                cell["source"] = renamed(text)
            elif cell["cell_type"] == "raw":
                cell["source"] = re.sub(r"^output-file: .*\n", "", text, flags=re.M)  # the name says it here
        (target / new).parent.mkdir(exist_ok=True)
        (target / new).write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")
    sidebar = target / "sidebar.yml"
    sidebar.write_text(renamed(sidebar.read_text(encoding="utf-8")), encoding="utf-8")


def formula(match: re.Match) -> tuple[str, str]:
    "The kind (inline or display) and the TeX of a formula as smalldocs leaves it in a page."
    return match[1], " ".join(html.unescape(match[2]).split())


def mathml(formulas: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    "Each formula as the MathML that Pandoc makes of it, and so Quarto."
    marks = {"inline": "$", "display": "$$"}
    text = "\n\n".join(f"{marks[kind]}{tex}{marks[kind]}" for kind, tex in formulas)
    rendered = pypandoc.convert_text(text, "html", format="markdown", extra_args=["--mathml"])
    found = re.findall(r"<math\b.*?</math>", rendered, re.S)
    return dict(zip(formulas, map(function_spaces, found), strict=True))


def accessible(text: str) -> str:
    "Mend smalldocs's markup: icons are ornaments, and what folds in the sidebar is a button."
    text = re.sub(r'(<i class="bi[^"]*") role="img"', r'\1 aria-hidden="true"', text)
    fold = r'(?=[^>]*data-bs-toggle="collapse")(?=[^>]*data-bs-target="#quarto-sidebar-section)'
    return re.sub(rf'(<a {fold}[^>]*?)role="navigation"', r'\1role="button" tabindex="0"', text)


def build_with_smalldocs(processed: Path) -> list[str]:
    "Render the site into `processed`/_docs and return smalldocs's warnings."
    from smalldocs.site import build

    with tempfile.TemporaryDirectory(dir=ROOT, prefix="_smalldocs_") as folder:
        stage(processed, Path(folder))
        site = build(folder, quiet=True)
        pages = {page: page.read_text(encoding="utf-8") for page in site.out.rglob("*.html")}
        found = {formula(match) for text in pages.values() for match in MATH.finditer(text)}
        formulas = mathml(sorted(found))
        for page, text in pages.items():
            text = MATH.sub(lambda match: formulas[formula(match)], text)
            page.write_text(accessible(text), encoding="utf-8")
        replace(site.out, processed / "_docs")
    expected = tuple(f"format.html.{key} is ignored" for key in QUARTO_ONLY)
    return [warning for warning in site.warnings if not warning.endswith(expected)]


def build_with_quarto(processed: Path) -> list[str]:
    "Render the site into `processed`/_docs."
    environment = os.environ | {"QUARTO_PYTHON": sys.executable}
    subprocess.run(["quarto", "render", "--no-cache"], cwd=processed, env=environment, check=True)
    return []


def replace(source: Path, target: Path) -> None:
    "Move the folder `source` to `target`, in place of what was there."
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(source, target)


def main() -> None:
    "Build the site; exit with an error when there is anything to warn about."
    parser = argparse.ArgumentParser(description="Build the site into _docs.")
    parser.add_argument("--smalldocs", action="store_true", help="even where Quarto is installed")
    smalldocs = parser.parse_args().smalldocs or not shutil.which("quarto")
    os.chdir(ROOT)
    start = time.monotonic()
    processed = process()
    warnings = (build_with_smalldocs if smalldocs else build_with_quarto)(processed)
    replace(processed / "_docs", ROOT / "_docs")
    pages, seconds = len([*(ROOT / "_docs").rglob("*.html")]), time.monotonic() - start
    print(f"{pages} pages in _docs, by {'smalldocs' if smalldocs else 'Quarto'}, in {seconds:.1f} s")
    if warnings:
        sys.exit("\n".join(["The site has flaws:", *warnings]))


if __name__ == "__main__":
    main()
