"""README.md is the home page, and what it says is so."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
build_readme = pytest.importorskip("build_readme", reason="pypandoc_binary is not installed")


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def first_line(path: Path) -> str:
    "The title of a chapter, without its mark."
    cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    return "".join(cell["source"]).splitlines()[0].removeprefix("# ")


def test_it_is_made_from_the_index(readme):
    text, figures = build_readme.readme(ROOT / "nbs" / "index.ipynb")
    assert readme == text, "README.md is stale: run tools/build_readme.py"
    folder = ROOT / build_readme.FIGURES
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == figures


def test_it_shows_results_first(readme):
    "A picture of at least a few kilobytes stands before any prose."
    before, picture, _ = re.split(r'<img src="([^"]+)"', readme, maxsplit=1)
    assert "<div" not in before
    assert (ROOT / picture).stat().st_size > 10_000


def test_its_commands_exist(readme, settings):
    commands = [
        line for block in re.findall(r"``` bash\n(.*?)```", readme, re.S) for line in block.splitlines()
    ]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert {"make train", "make test"} <= set(commands)
    for target in re.findall(r"^make (\w+)$|`make (\w+)`", readme, re.M):
        assert "".join(target) in targets
    scripts = [line.split("=")[0].strip() for line in settings["console_scripts"].splitlines()]
    for command in commands:
        if command.startswith("learning_gan_"):
            assert command.split()[0] in scripts


def test_it_lists_every_chapter(readme, settings):
    site = f"https://{settings['user']}.github.io/{settings['repo']}/"
    rows = re.findall(rf"\[([^\]]+)\]\({re.escape(site)}([\w.-]+\.html)\) \|", readme)
    sidebar = yaml.safe_load((ROOT / "nbs" / "sidebar.yml").read_text(encoding="utf-8"))["website"]["sidebar"]
    sections = [entry["contents"] for entry in sidebar["contents"] if isinstance(entry, dict)]
    chapters = [ROOT / "nbs" / name for section in sections for name in section]
    assert {*chapters, ROOT / "nbs" / "index.ipynb"} == set((ROOT / "nbs").rglob("*.ipynb"))
    listed = [(first_line(path), re.sub(r"^\d+_", "", path.stem) + ".html") for path in chapters]
    assert rows == listed


def test_every_link_leads_somewhere(readme, settings):
    for link in re.findall(r"\]\(([^)\s]+)\)", readme):
        assert link.startswith("https://"), (
            f"a relative link works in the README or on the site, not in both: {link}"
        )
    pages = {re.sub(r"^\d+_", "", path.stem) for path in (ROOT / "nbs").rglob("*.ipynb")}
    site = re.escape(f"https://{settings['user']}.github.io/{settings['repo']}/")
    assert set(re.findall(rf"{site}(\w+)\.html", readme)) <= pages


def test_credit_is_given_once(readme):
    "The post and the course are named once in each language."
    assert readme.count('"Learning GAN"') == 2
    assert readme.count("Udacity") == 2
