"""Make README.md from nbs/index.ipynb, as nbdev_readme does with Quarto, where Quarto is not installed.

Both take the page as nbdev processes it and write it as GitHub's Markdown with pandoc; pictures go to
index_files/figure-commonmark/.
"""

import base64
import os
import re
import shutil
from pathlib import Path

import pypandoc
import yaml
from execnb.nbio import read_nb
from nbdev.processors import FilterDefaults

ROOT = Path(__file__).resolve().parent.parent
FIGURES = Path("index_files") / "figure-commonmark"
# What pandoc's `gfm` would spoil: it has no words for a language other than raw HTML, and wraps lines.
TO = "gfm-raw_attribute+raw_html"


def processed(path: Path) -> dict:
    "The notebook at `path` as nbdev prepares it for a builder: hidden cells gone, names linked."
    notebook = read_nb(path)
    FilterDefaults()(notebook)
    return notebook


def split_options(source: str) -> tuple[dict, str]:
    "The `#|` options at the top of a code cell, and the code under them."
    lines = source.splitlines()
    count = next((i for i, line in enumerate(lines) if not line.startswith("#|")), len(lines))
    options = yaml.safe_load("\n".join(line[2:].strip() for line in lines[:count])) or {}
    return options if isinstance(options, dict) else {}, "\n".join(lines[count:]).strip()


def picture(output: dict, options: dict, name: str, figures: dict[str, bytes]) -> str:
    "Keep a picture in `figures` and return the Markdown that shows it with its caption."
    figures[name] = base64.b64decode("".join(output["data"]["image/png"]))
    width = output.get("metadata", {}).get("image/png", {}).get("width")
    alt = options.get("fig-alt", "").replace('"', "&quot;")
    image = f'<img src="{(FIGURES / name).as_posix()}"{f" width={chr(34)}{width}{chr(34)}" if width else ""} alt="{alt}" />'
    caption = options.get("fig-cap")
    return f"{image}\n\n*{caption}*" if caption else image


def indented(text: str) -> str:
    "Text as an indented code block."
    return "\n".join("    " + line if line else "" for line in text.rstrip("\n").splitlines())


def code_cell(cell: dict, number: int, figures: dict[str, bytes]) -> str:
    "A code cell as Markdown: its code, unless it says `echo: false`, and its outputs."
    options, code = split_options("".join(cell["source"]))
    parts = [f"``` python\n{code}\n```"] if code and options.get("echo", True) is not False else []
    for place, output in enumerate(cell.get("outputs", []), 1):
        if output["output_type"] == "stream" and output["name"] == "stdout":
            parts.append(indented("".join(output["text"])))
        elif "image/png" in output.get("data", {}):
            parts.append(picture(output, options, f"cell-{number}-output-{place}.png", figures))
        elif "text/markdown" in output.get("data", {}):
            parts.append("".join(output["data"]["text/markdown"]))
        elif "text/plain" in output.get("data", {}):
            parts.append(indented("".join(output["data"]["text/plain"])))
    return "\n\n".join(parts)


def readme(path: Path) -> tuple[str, dict[str, bytes]]:
    "The text of README.md and its pictures, by name, from the index notebook at `path`."
    parts, figures = [], {}
    for number, cell in enumerate(processed(path)["cells"], 1):
        source = "".join(cell.get("source") or "")
        if cell["cell_type"] == "raw":
            title = yaml.safe_load(source.strip().strip("-"))["title"]
            parts.append(f"# {title}")
        elif cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source:
            parts.append(code_cell(cell, number, figures))
    text = pypandoc.convert_text(
        "\n\n".join(parts), TO, format="markdown-smart", extra_args=["--wrap=preserve"]
    )
    return re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n")), figures


def main() -> None:
    "Write README.md and its pictures."
    os.chdir(ROOT)
    text, figures = readme(ROOT / "nbs" / "index.ipynb")
    shutil.rmtree(ROOT / "index_files", ignore_errors=True)
    for name, data in figures.items():
        (ROOT / FIGURES).mkdir(parents=True, exist_ok=True)
        (ROOT / FIGURES / name).write_bytes(data)
    (ROOT / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
