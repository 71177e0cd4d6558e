"""The numbers of the text are those of the result files, and `make verify` sees it when they are not."""

import json
import re
import shutil
import subprocess

import pytest
import verify
from chapters import ROOT

LABELS = "nbs/go_on/36_hundred_labels.ipynb"


@pytest.fixture
def copy(tmp_path):
    "The chapters and the result files in another place, where they may be changed."
    kept = shutil.ignore_patterns("*.npz", "*.keras", "*.png", "*.gif", "assets", "images")
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs", ignore=kept)
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def replace(path, old, new):
    "Change a file."
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_numbers_are_true():
    count, wrong = verify.verify()
    assert not wrong, "\n".join(wrong)
    assert count > 250


def test_a_number_changed_in_the_text(copy):
    replace(copy / LABELS, "gets 119.0 wrong", "gets 118.0 wrong")
    assert verify.verify(copy)[1] == [
        f"{LABELS}: says 'it gets 118.0 wrong on average', the files 'it gets 119.0 wrong on average'"
    ]


def test_a_number_changed_in_a_result_file(copy):
    file = copy / "nbs" / "results" / "hundred_labels.json"
    study = json.loads(file.read_text(encoding="utf-8"))
    run = next(run for run in study["runs"] if (run["arm"], run["labels"]) == ("gan", 100))
    run["errors"] += 50
    file.write_text(json.dumps(study), encoding="utf-8")
    wrong = verify.verify(copy)[1]
    assert any("'it gets 119.0 wrong on average', the files 'it gets 124.0" in each for each in wrong)
    assert {each.partition(":")[0] for each in wrong} == {LABELS, "nbs/machine/83_ledger.ipynb"}


def test_a_condition_that_no_longer_holds(copy):
    replace(copy / "nbs" / "results" / "claims.toml", "2300 < np.mean", "2330 < np.mean")
    korean, english = verify.verify(copy)[1]
    assert "2,300장 넘게" in korean
    assert "gets more than 2,300 of the 10,000 test images wrong', the files have 2330 | 2322.6 | " in english


def test_a_sentence_that_is_gone(copy):
    replace(copy / LABELS, "The interval holds 120", "It holds 120")
    assert verify.verify(copy)[1] == [f"{LABELS}: no longer says 'The interval holds 120'"]


def other_digits(text):
    "A text with other numbers."
    return re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), text)


def test_every_number_is_held():
    "No claim with a number agrees where each digit of its page is another one."
    for name, page, expression, words, names in verify.claims(ROOT):
        true, held = page.text, [each for each in words if verify.HOLE.search(each)]
        page.text = other_digits(true)
        wrong = page.faults(expression, held, names) if held else []
        assert len(wrong) == len(held), (name, words)
        page.text = true


def test_rules_came_before_their_results():
    "Each rule that the ledger names was committed before the first result that it was used for."
    ledger = json.loads((ROOT / "nbs" / "results" / "ledger.json").read_text(encoding="utf-8"))
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    for rule in ledger["rules"]:
        order = subprocess.run(
            [*git, "merge-base", "--is-ancestor", rule["set"], rule["first"]],
            capture_output=True,
            check=False,
        )
        if order.returncode > 1:
            pytest.skip("the history is not here")
        assert order.returncode == 0 and rule["set"] != rule["first"], rule
