"""The house rules: pins, workflows, notebooks and paths are as CONTRIBUTING.md says."""

import json
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NOTEBOOKS = sorted((Path(__file__).parent.parent / "nbs").glob("*.ipynb"))
BINARY = {".bin", ".gif", ".ico", ".keras", ".npz", ".png", ".woff2"}
HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian\.org|repo\.maven|proxy\.golang")
MACHINE_PATHS = re.compile(r"(?<![\w.~/-])/(?:work|root|home|Users|tmp)/[\w.]")
PINNED_EXTRAS = ("dev", "parity", "oracle", "browser")


def notebook_cases():
    return pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[dict]:
    return [
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind
    ]


def source(cell: dict) -> str:
    return "".join(cell["source"])


# Files


def test_every_make_target_that_is_named_exists(root, tracked):
    "A reader who types what a chapter, a comment or a result file says finds it."
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for path in tracked:
        if path.suffix in {".ipynb", ".md", ".py", ".ini", ".json"}:
            named = re.findall(r"[`\"]make ([a-z-]+)[`\"]", path.read_text(encoding="utf-8"))
            assert set(named) <= targets, path


def test_no_registry_host_and_no_path_of_one_machine(root, tracked):
    found = []
    for path in tracked:
        if path.suffix in BINARY:
            continue
        text = (root / path).read_text(encoding="utf-8")
        found += [f"{path}: {hit[0]}" for rule in (HOSTS, MACHINE_PATHS) for hit in rule.finditer(text)]
    assert found == []


def test_no_tracked_file_is_large(root, tracked):
    assert [path for path in tracked if (root / path).stat().st_size > 8_000_000] == []


def test_ci_entry_point_is_executable(root):
    assert os.access(root / ".ci" / "run", os.X_OK)


# Dependencies


def requirements(settings, extra: str | None = None) -> list[Requirement]:
    key = f"{extra}_requirements" if extra else "requirements"
    return [Requirement(line) for line in settings[key].split()]


@pytest.fixture(scope="session")
def pins(root) -> dict[str, str]:
    "Version of each pinned project, by its canonical name."
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.!+]*", line)] == []
    found = dict(line.split("==") for line in lines)
    assert list(found) == sorted(found)
    assert len(found) == len(lines)
    return found


def test_pins_satisfy_the_settings(settings, pins):
    for extra in (None, *PINNED_EXTRAS):
        for need in requirements(settings, extra):
            version = pins[canonicalize_name(need.name)]
            assert need.specifier.contains(version), f"{need} is pinned to {version}"


@pytest.fixture(scope="session")
def needed(settings, needs_of) -> set[str]:
    "Every project that the pinned set needs on this machine."
    return needs_of(need for extra in (None, *PINNED_EXTRAS) for need in requirements(settings, extra))


def installed(name: str) -> str | None:
    "The version that is installed of a project."
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def test_every_need_is_pinned_and_every_pin_is_needed(settings, pins, needed):
    "The pins are made on the oldest Python; some of them a newer one does not need."
    unneeded = set(pins) - needed
    assert needed <= set(pins)
    if sys.version_info[:2] == tuple(map(int, settings["min_python"].split("."))):
        assert unneeded == set()
    assert {name for name in unneeded if installed(name)} == set()


def test_what_is_installed_is_what_is_pinned(needed, pins):
    assert {name: installed(name) for name in needed} == {name: pins[name] for name in needed}


def test_contributing_explains_every_dependency(root, settings):
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    keys = [key for key in settings if key.endswith("requirements")]
    needs = {Requirement(line).name for key in keys for line in settings[key].split()}
    assert {name for name in needs if f"| `{name}` |" not in text} == set()


def test_every_console_script_resolves(settings):
    installed = {e.name: e for e in entry_points(group="console_scripts") if e.dist.name == "learning_gan"}
    declared = dict(line.split("=") for line in settings["console_scripts"].split())
    assert {name: e.value for name, e in installed.items()} == declared
    for entry in installed.values():
        assert callable(entry.load())


# Workflows


@pytest.fixture(scope="session")
def workflows(root) -> dict[str, dict]:
    found = {
        path.name: yaml.safe_load(path.read_text()) for path in (root / ".github/workflows").glob("*.yaml")
    }
    assert {"test.yaml", "deploy.yaml"} <= found.keys()
    return found


def test_actions_are_pinned_by_commit_with_their_version(root):
    pinned = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+$")
    lines = [
        line for path in (root / ".github/workflows").glob("*.yaml") for line in path.read_text().splitlines()
    ]
    uses = [line.strip().removeprefix("- ") for line in lines if "uses: " in line and "uses: ./" not in line]
    assert len(uses) >= 4
    assert [line for line in uses if not pinned.fullmatch(line)] == []


def test_workflows_have_least_rights_and_an_end(workflows):
    for name, flow in workflows.items():
        assert flow["permissions"] == {"contents": "read"}, name
        for job in flow["jobs"].values():
            assert "uses" in job or job["timeout-minutes"] <= 60  # a workflow that it uses has its own
            assert set(job.get("permissions", {})) <= {"pages", "id-token"}, name


def test_hooks_run_the_tools_of_this_environment(root):
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    scripts = {hook["entry"].split()[0] for hook in hooks}
    assert scripts == {f".venv/bin/{name}" for name in ("nbdev_clean", "nbdev_export", "ruff")}
    assert all((Path(sys.executable).parent / Path(script).name).is_file() for script in scripts)


# Notebooks


@notebook_cases()
def test_plumbing_is_folded_in_jupyter(path):
    "The first screen in JupyterLab is the chapter's title and words, not its imports."
    from execute_notebooks import is_plumbing

    open_cells = [
        source(cell)
        for cell in cells(path, "code")
        if is_plumbing(cell) and not cell["metadata"].get("jupyter", {}).get("source_hidden")
    ]
    assert open_cells == []


@notebook_cases()
def test_korean_prose_stays_in_its_blocks(path):
    for cell in cells(path, "markdown"):
        outside = re.sub(r'<(div|span) lang="ko">.*?</\1>|^#.*$', "", source(cell), flags=re.S | re.M)
        assert not re.search("[가-힣]", outside), outside


@notebook_cases()
def test_no_fences_that_jupyter_shows_as_text(path):
    assert [source(cell) for cell in cells(path, "markdown") if ":::" in source(cell)] == []


def test_every_chapter_opens_with_the_same_cell_for_colab():
    opening = {path.stem: source(cells(path, "code")[0]) for path in NOTEBOOKS if path.stem[:2].isdigit()}
    assert len(set(opening.values())) == 1, opening
    cell = next(iter(opening.values()))
    assert cell.startswith("#| hide\n")
    assert 'find_spec("learning_gan")' in cell
    assert "%pip install -q git+https://github.com/learning-gan/learning_gan" in cell
