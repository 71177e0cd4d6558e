"""README.md is the home page, and what it says is so."""

import re

import chapters
import pytest

ROOT = chapters.ROOT
build_readme = pytest.importorskip("build_readme", reason="pypandoc_binary is not installed")
SITE = re.escape(f"{chapters.published()}/")


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_made_from_the_index(readme):
    text, figures = build_readme.readme()
    assert readme == text, "README.md is stale: run tools/build_readme.py"
    folder = ROOT / build_readme.FIGURES
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == figures


def test_it_shows_results_first(readme):
    "A picture of at least a few kilobytes stands before any prose."
    before, picture, _ = re.split(r'<img src="([^"]+)"', readme, maxsplit=1)
    assert "<div" not in before
    assert (ROOT / picture).stat().st_size > 10_000


def test_its_commands_exist(readme, settings):
    blocks = re.findall(r"```\s?bash\n(.*?)```", readme, re.S)
    commands = [line for block in blocks for line in block.splitlines()]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert {"make train", "make test"} <= {command.split("#")[0].strip() for command in commands}
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.M)) <= set(targets)
    scripts = [line.split("=")[0].strip() for line in settings["console_scripts"].splitlines()]
    assert set(re.findall(r"\b(learning_gan_[a-z]+)\b", readme)) <= set(scripts)


def test_it_lists_every_chapter(readme):
    listed = re.findall(rf"^\| \[[^\]]+\]\({SITE}([\w./-]+\.html)\) \|", readme, re.M)
    assert listed == [chapters.page_name(name) for name in chapters.reading_order()[1:]]
    everywhere = {path.relative_to(ROOT / "nbs").as_posix() for path in (ROOT / "nbs").rglob("*.ipynb")}
    assert set(chapters.reading_order()) == {name for name in everywhere if ".ipynb_checkpoints" not in name}


def test_every_link_leads_somewhere(readme):
    relative = [link for link in re.findall(r"\]\(([^)\s]+)\)", readme) if not link.startswith("https://")]
    assert relative == [], "a relative link works in the README or on the site, not in both"
    pages = {chapters.page_name(name) for name in chapters.reading_order()}
    assert set(re.findall(rf"{SITE}([\w/]+\.html)", readme)) <= pages


def test_credit_is_given_once(readme):
    "The post and the course are named once in each language."
    assert readme.count('"Learning GAN"') == 2
    assert readme.count("Udacity") == 2
