"""Build the site into _docs: with Quarto where it is installed, with smalldocs where not.

Both read the notebooks that nbdev has processed into _proc and the options in _quarto.yml, and both run
tools/finish_site.py when they are done. What follows here is only what smalldocs does not do by itself: name the
pages as Quarto does, write formulas as MathML, keep pictures in files at the size they were drawn for, and leave
out what a page would fetch from elsewhere.
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
from finish_site import function_spaces, page_name
from nbdev.config import get_config
from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml
from nbdev.serve import proc_nbs

ROOT = Path(__file__).resolve().parent.parent
QUARTO_ONLY = ("html-math-method", "respect-user-color-scheme", "toc-expand")  # of _quarto.yml; see there
MATH = re.compile(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', re.S)


def process() -> Path:
    "Do what nbdev_docs does before it calls Quarto, and return the folder of processed notebooks."
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning"  # chapters set the style where they import
    refresh_quarto_yml()
    nbdev.doclinks._build_modidx()
    nbdev_sidebar.__wrapped__()
    try:
        return proc_nbs(force=True, n_workers=os.cpu_count())
    except Exception as error:
        sys.exit(
            f"{error}\n(To make the site, nbdev runs the cells that import, export or show documentation.)"
        )


def stage(processed: Path, target: Path) -> None:
    "Copy the processed notebooks to `target` under the names of their pages, and their links with them."
    names = {path.name: page_name(path.name).replace(".html", ".ipynb") for path in processed.glob("*.ipynb")}
    shutil.copytree(processed, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ipynb", "_docs"))
    numbered = re.compile(r"(?<![\w/])(" + "|".join(map(re.escape, names)) + r")\b")
    for old, new in names.items():
        notebook = json.loads((processed / old).read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                cell["source"] = numbered.sub(lambda m: names[m[1]], text)
            elif cell["cell_type"] == "raw":
                cell["source"] = re.sub(r"^output-file: .*\n", "", text, flags=re.M)  # the name says it here
        (target / new).write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")
    sidebar = target / "sidebar.yml"
    sidebar.write_text(
        numbered.sub(lambda m: names[m[1]], sidebar.read_text(encoding="utf-8")), encoding="utf-8"
    )


def mathml(formulas: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    "Each formula, its kind (inline or display) and its TeX, as the MathML that Pandoc makes of it, and so Quarto."
    marks = {"inline": "$", "display": "$$"}
    text = "\n\n".join(f"{marks[kind]}{tex}{marks[kind]}" for kind, tex in formulas)
    rendered = pypandoc.convert_text(text, "html", format="markdown", extra_args=["--mathml"])
    found = re.findall(r"<math\b.*?</math>", rendered, re.S)
    if len(found) != len(formulas):
        sys.exit(f"Pandoc made {len(found)} formulas of {len(formulas)}")
    return dict(zip(formulas, map(function_spaces, found), strict=True))


def formula(match: re.Match) -> tuple[str, str]:
    "The kind and the TeX of a formula as smalldocs leaves it in a page."
    return match[1], " ".join(html.unescape(match[2]).split())


def accessible(text: str) -> str:
    "Mend smalldocs's markup: icons are ornaments, and what folds in the sidebar is a button."
    text = re.sub(r'(<i class="bi[^"]*") role="img"', r'\1 aria-hidden="true"', text)
    fold = r'(?=[^>]*data-bs-toggle="collapse")(?=[^>]*data-bs-target="#quarto-sidebar-section)'
    return re.sub(rf'(<a {fold}[^>]*?)role="navigation"', r'\1role="button" tabindex="0"', text)


def build_with_smalldocs(processed: Path) -> list[str]:
    "Render the site into `processed`/_docs and return smalldocs's warnings."
    from smalldocs.site import build

    with tempfile.TemporaryDirectory(dir=ROOT, prefix="_smalldocs_") as folder:
        target = Path(folder)
        stage(processed, target)
        site = build(target, quiet=True)
        pages = {page: page.read_text(encoding="utf-8") for page in sorted(site.out.glob("*.html"))}
        formulas = mathml(
            sorted({formula(match) for text in pages.values() for match in MATH.finditer(text)})
        )
        for page, text in pages.items():
            text = MATH.sub(lambda match: formulas[formula(match)], text)
            page.write_text(accessible(text), encoding="utf-8")
        replace(site.out, processed / "_docs")
    return [
        w
        for w in site.warnings
        if not w.endswith(tuple(f"format.html.{key} is ignored" for key in QUARTO_ONLY))
    ]


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
    parser.add_argument(
        "--smalldocs", action="store_true", help="use smalldocs even where Quarto is installed"
    )
    args = parser.parse_args()
    os.chdir(ROOT)
    start = time.monotonic()
    processed = process()
    quarto = shutil.which("quarto") and not args.smalldocs
    warnings = build_with_quarto(processed) if quarto else build_with_smalldocs(processed)
    out = ROOT / get_config().doc_path.name
    replace(processed / out.name, out)
    pages = len(list(out.glob("*.html")))
    print(
        f"{pages} pages in {out.name}, by {'Quarto' if quarto else 'smalldocs'}, in {time.monotonic() - start:.1f} s"
    )
    if warnings:
        sys.exit("\n".join(["The site has flaws:", *warnings]))


if __name__ == "__main__":
    main()
