"""Make README.md from the home page, nbs/index.ipynb; pictures go to index_files/figure-commonmark/."""

import base64
import re
import shutil
from pathlib import Path

import yaml
from chapters import NOTEBOOKS, ROOT, said, source
from execnb.nbio import read_nb
from nbdev.processors import FilterDefaults

FIGURES = Path("index_files") / "figure-commonmark"


def shown(output: dict, options: dict, name: str, figures: dict[str, bytes]) -> str:
    "An output as Markdown; a picture goes to `figures`."
    data = output.get("data", {})
    if "image/png" in data:
        figures[name] = base64.b64decode("".join(data["image/png"]))
        width = output.get("metadata", {}).get("image/png", {}).get("width")
        alt = options.get("fig-alt", "").replace('"', "&quot;")
        width = f' width="{width}"' if width else ""
        caption = f"\n\n*{options['fig-cap']}*" if "fig-cap" in options else ""
        return f'<img src="{(FIGURES / name).as_posix()}"{width} alt="{alt}" />{caption}'
    return said(output)


def code_cell(cell: dict, number: int, figures: dict[str, bytes]) -> list[str]:
    "A code cell as Markdown: its code, unless it says `echo: false`, and its outputs."
    head, code = re.fullmatch(r"((?:#\|[^\n]*\n?)*)(.*)", source(cell), re.S).groups()
    options = yaml.safe_load(re.sub(r"^#\| ?", "", head, flags=re.M)) or {}
    parts = [f"```python\n{code.strip()}\n```"] if code.strip() and options.get("echo", True) else []
    for place, output in enumerate(cell.get("outputs", []), 1):
        parts.append(shown(output, options, f"cell-{number}-output-{place}.png", figures))
    return parts


def readme() -> tuple[str, dict[str, bytes]]:
    "The text of README.md, and its pictures by name."
    notebook, parts, figures = read_nb(NOTEBOOKS / "index.ipynb"), [], {}
    FilterDefaults()(notebook)  # hidden cells gone, names linked, as for the site
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "raw":
            parts.append(f"# {yaml.safe_load(source(cell).strip().strip('-'))['title']}")
        elif cell["cell_type"] == "markdown":
            parts.append(source(cell))
        elif cell.get("source"):
            parts += code_cell(cell, number, figures)
    return "\n\n".join(filter(None, parts)) + "\n", figures


def main() -> None:
    "Write README.md and its pictures."
    text, figures = readme()
    shutil.rmtree(ROOT / FIGURES.parent, ignore_errors=True)
    (ROOT / FIGURES).mkdir(parents=True)
    for name, data in figures.items():
        (ROOT / FIGURES / name).write_bytes(data)
    (ROOT / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
