"""The house rules: layers, pins, workflows and paths are as CONTRIBUTING.md says, and README.md is the home page."""

import ast
import json
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from pathlib import Path

import build_readme
import chapters
import pytest
import yaml
from conftest import needs_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BINARY = {".bin", ".gif", ".ico", ".keras", ".npz", ".png", ".wasm", ".woff2", ".xz"}
HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian\.org|repo\.maven|proxy\.golang")
MACHINE_PATHS = re.compile(r"(?<![\w.~/-])/(?:work|root|home|Users|tmp)/[\w.]")
PINNED_EXTRAS = ("", "dev_", "studies_", "parity_", "oracle_", "browser_")


WINGS = ["core", "parts", "run", "measure", "trials", "app", "catalogue"]
PACKAGE = chapters.ROOT / "learning_gan"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.name.startswith("_")
}


def imported(module: str, path: Path) -> set[str]:
    "The modules of the package that a module names: imported anywhere, also inside functions, or written in a string."
    package, found = ["learning_gan", *module.split(".")[:-1]], set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"^(learning_gan(?:\.\w+)+)(?::\w+)?$", node.value))
    return {name.removeprefix("learning_gan.") for name in found} & MODULES.keys() - {module}


def test_imports_go_downward_only():
    "From a wing to those below it or within itself, never in a circle; what reaches up by a string is the catalogue."
    needs = {module: imported(module, path) for module, path in MODULES.items()}
    assert {module.split(".")[0] for module in needs} == set(WINGS) and sum(map(len, needs.values())) > 80
    height = {module: WINGS.index(module.split(".")[0]) for module in needs}
    pairs = [(one, other) for one, others in needs.items() for other in others]
    assert [f"{one} → {other}" for one, other in pairs if height[one] < height[other]] == []
    while free := [module for module, others in needs.items() if not others & needs.keys()]:
        for module in free:
            del needs[module]
    assert needs == {}, f"in a circle: {needs}"


def test_a_module_has_its_notebooks_name():
    "And lies in the wing that its notebook says; each notebook that exports has one."
    made_by = {}
    for name in chapters.reading_order():
        for cell in chapters.cells(chapters.read(name), "code"):
            if found := re.search(r"^#\| default_exp (\S+)", cell, re.M):
                made_by[found[1]] = chapters.page_name(name).split("/")[-1].removesuffix(".html")
    assert set(made_by) == set(MODULES)
    assert {module: page for module, page in made_by.items() if module.split(".")[-1] != page} == {}


def test_every_name_that_the_package_gives_is_there_and_no_module_hides_it(settings):
    import learning_gan

    tops = {module.split(".")[0] for module in MODULES}
    assert not tops & set(learning_gan.__all__)
    assert all(getattr(learning_gan, name) for name in learning_gan.__all__)
    installed = {e.name: e for e in entry_points(group="console_scripts") if e.dist.name == "learning_gan"}
    declared = dict(line.split("=") for line in settings["console_scripts"].split())
    assert {name: e.value for name, e in installed.items()} == declared
    assert all(callable(entry.load()) for entry in installed.values())


@pytest.fixture(scope="session")
def targets(root) -> set[str]:
    "The targets of the Makefile."
    return set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.M))


def test_files_name_targets_that_exist_no_host_and_no_path_of_one_machine_and_are_not_large(tracked, targets):
    "A reader who types what a chapter, a comment or a result file says finds it."
    found = []
    for path in tracked:
        found += [f"{path} is large"] if path.stat().st_size > 8_000_000 else []
        if path.suffix not in BINARY:
            text = path.read_text(encoding="utf-8")
            found += [f"{path}: {hit[0]}" for rule in (HOSTS, MACHINE_PATHS) for hit in rule.finditer(text)]
            named = set(re.findall(r"[`\"]make ([a-z-]+)(?:[`\"]| [A-Z]+=)", text))
            found += [f"{path}: make {name}" for name in named - targets]
    assert found == []


def test_the_readme_is_made_from_the_home_page(root, settings, targets):
    "It shows a picture before any prose, its commands exist, and its links work in both places."
    readme, (text, figures) = (root / "README.md").read_text(encoding="utf-8"), build_readme.readme()
    assert readme == text, "README.md is stale: run make export"
    assert {path.name: path.read_bytes() for path in (root / build_readme.FIGURES).iterdir()} == figures
    before, picture, _ = re.split(r'<img src="([^"]+)"', readme, maxsplit=1)
    assert "<div" not in before and (root / picture).stat().st_size > 10_000
    commands = "\n".join(re.findall(r"```bash\n(.*?)```", readme, re.S))
    scripts = {line.split("=")[0] for line in settings["console_scripts"].split()}
    assert {"train", "test"} <= set(re.findall("^make ([a-z-]+)", commands, re.M)) <= targets
    assert set(re.findall(r"^learning_gan_\w+", commands, re.M)) <= scripts
    assert [link for link in re.findall(r"\]\(([^)\s]+)\)", readme) if not link.startswith("https://")] == []
    pages = {chapters.page_name(name) for name in chapters.reading_order()}
    assert set(re.findall(rf"{re.escape(chapters.published())}/([\w/]+\.html)", readme)) <= pages
    assert readme.count('"Learning GAN"') == readme.count("Udacity") == 2  # credit, once in each language


def installed(name: str) -> str | None:
    "The version that is installed of a project."
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def test_pins_are_what_the_settings_need_and_what_is_installed(root, settings):
    "The pins are made on the oldest Python; some of them a newer one does not need."
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.!+]*", line)] == []
    pins = dict(line.split("==") for line in lines)
    assert list(pins) == sorted(pins) and len(pins) == len(lines)
    needs = " ".join(settings[f"{extra}requirements"] for extra in PINNED_EXTRAS)
    wanted = [*map(Requirement, needs.split())]
    assert [need for need in wanted if not need.specifier.contains(pins[canonicalize_name(need.name)])] == []
    needed = needs_of(wanted)
    assert {name: installed(name) for name in needed} == {name: pins[name] for name in needed}
    unneeded = set(pins) - needed
    assert {name for name in unneeded if installed(name)} == set()
    if sys.version_info[:2] == tuple(map(int, settings["min_python"].split("."))):
        assert unneeded == set()


def test_contributing_explains_every_dependency(root, settings):
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    keys = [key for key in settings if key.endswith("requirements")]
    needs = {Requirement(line).name for key in keys for line in settings[key].split()}
    assert {name for name in needs if f"| `{name}` |" not in text} == set()


def test_workflows_have_pinned_actions_least_rights_and_an_end_and_run_what_we_support(root, settings):
    texts = {path.name: path.read_text() for path in (root / ".github/workflows").glob("*.yaml")}
    workflows = {name: yaml.safe_load(text) for name, text in texts.items()}
    lines = "\n".join(texts.values()).splitlines()
    assert {"test.yaml", "deploy.yaml"} <= workflows.keys() and os.access(root / ".ci" / "run", os.X_OK)
    uses = [line.strip().removeprefix("- ") for line in lines if "uses: " in line and "uses: ./" not in line]
    pinned = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+$")
    assert len(uses) >= 4 and [line for line in uses if not pinned.fullmatch(line)] == []
    for name, flow in workflows.items():
        assert flow["permissions"] == {"contents": "read"}, name
        for job in flow["jobs"].values():
            assert "uses" in job or job["timeout-minutes"] <= 180  # a workflow that it uses has its own
            assert set(job.get("permissions", {})) <= {"pages", "id-token"}, name
    test = workflows["test.yaml"]
    setup = (root / "setup.py").read_text(encoding="utf-8")
    supported = [f"3.{minor}" for minor in re.search(r"for minor in \(([\d, ]+)\)", setup)[1].split(", ")]
    assert test["jobs"]["test"]["strategy"]["matrix"]["python"] == supported
    assert supported[0] == settings["min_python"]
    assert "schedule" in test[True]  # YAML reads `on` as true
    assert "long" in json.dumps(workflows["deploy.yaml"]["jobs"])


def test_hooks_run_the_tools_of_this_environment(root):
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    scripts = {hook["entry"].split()[0] for repo in config["repos"] for hook in repo["hooks"]}
    assert scripts == {f".venv/bin/{name}" for name in ("nbdev_clean", "nbdev_export", "ruff")}
    assert all((Path(sys.executable).parent / Path(script).name).is_file() for script in scripts)
