"""A chapter runs in plain Jupyter, from any folder, for a person whose home is empty."""

import json
import subprocess

import pytest


@pytest.mark.slow
def test_a_chapter_runs_away_from_the_checkout(root, bare_env, tmp_path):
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "a folder with spaces"
    elsewhere.mkdir()
    command = ["jupyter", "nbconvert", "--to", "notebook", "--execute", "--output-dir", out]
    chapter = root / "nbs" / "build/12_generator.ipynb"
    done = subprocess.run(
        [*command, chapter], cwd=elsewhere, env=bare_env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    code = [c for c in json.loads((out / chapter.name).read_text())["cells"] if c["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code if cell["source"])
    noise = [o for cell in code for o in cell["outputs"] if o.get("name") == "stderr"]
    assert noise == []
