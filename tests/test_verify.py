"""The numbers of the text are those of the result files, and `make verify` sees it when they are not."""

import json
import re
import shutil
import subprocess

import pytest
import verify
from chapters import ROOT

LABELS, RESULTS = "nbs/go_on/36_hundred_labels.ipynb", "nbs/results/hundred_labels.json"


def test_the_numbers_are_true():
    count, wrong = verify.verify()
    assert not wrong, "\n".join(wrong)
    assert count > 250


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    "What is wrong where a file of a copy of chapters and results is another: `changed(name, old, new)`."
    copy, kept = tmp_path_factory.mktemp("copy"), ("*.npz", "*.keras", "*.png", "*.gif", "assets", "images")
    shutil.copytree(ROOT / "nbs", copy / "nbs", ignore=shutil.ignore_patterns(*kept))
    shutil.copy(ROOT / "README.md", copy)

    def changed(name, old, new):
        text = (copy / name).read_text(encoding="utf-8")
        assert old in text
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")
        wrong = verify.verify(copy)[1]
        (copy / name).write_text(text, encoding="utf-8")
        return wrong

    return changed


def test_what_no_longer_agrees_is_named(changed):
    "A number in the text, a sentence that is gone, a condition that no longer holds, a number in a result file."
    says = f"{LABELS}: says 'it gets 118.0 wrong on average', the files 'it gets 119.0 wrong on average'"
    assert changed(LABELS, "gets 119.0 wrong", "gets 118.0 wrong") == [says]
    gone = f"{LABELS}: no longer says 'The interval holds 120'"
    assert changed(LABELS, "The interval holds 120", "It holds 120") == [gone]
    korean, english = changed("nbs/results/claims.toml", "2300 < np.mean", "2330 < np.mean")
    assert "2,300장 넘게" in korean
    assert "gets more than 2,300 of the 10,000 test images wrong', the files have 2330 | 2322.6 | " in english
    old = (ROOT / RESULTS).read_text(encoding="utf-8")
    study = json.loads(old)
    run = next(run for run in study["runs"] if (run["arm"], run["labels"]) == ("gan", 100))
    run["errors"] += 50
    wrong = changed(RESULTS, old, json.dumps(study))
    assert any("'it gets 119.0 wrong on average', the files 'it gets 124.0" in each for each in wrong)
    assert {each.partition(":")[0] for each in wrong} == {LABELS, "nbs/machine/83_ledger.ipynb"}


def test_every_number_is_held():
    "No claim with a number agrees where each digit of its page is another one."
    for name, page, expression, words, names in verify.claims(ROOT):
        true, held = page.text, [each for each in words if verify.HOLE.search(each)]
        page.text = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), true)
        wrong = page.faults(expression, held, names) if held else []
        assert len(wrong) == len(held), (name, words)
        page.text = true


def test_rules_came_before_their_results(tmp_path):
    "A rule that is of the same commit as its result, or of none that is known, is told; without a history, nothing is."
    count, wrong = verify.late()
    assert wrong == [] and verify.late(tmp_path) == (0, [])
    if not count:
        pytest.skip("the history is not here")
    clone = ["git", "-c", f"safe.directory={ROOT}/.git", "clone", "-q", "--shared", "-n", str(ROOT)]
    subprocess.run([*clone, str(tmp_path / "clone")], check=True)
    ledger = json.loads((ROOT / "nbs" / "results" / "ledger.json").read_text(encoding="utf-8"))
    first, second, third = ledger["rules"][:3]
    first["set"], second["set"] = first["first"], "0123456"
    third["set"], third["first"] = third["first"], third["set"]
    (tmp_path / "clone" / "nbs" / "results").mkdir(parents=True)
    (tmp_path / "clone" / "nbs" / "results" / "ledger.json").write_text(json.dumps(ledger))
    told = verify.late(tmp_path / "clone")[1]
    assert [each.partition(" is")[0] for each in told] == [
        f"ledger.json: {rule['set']}" for rule in (first, second, third)
    ]
