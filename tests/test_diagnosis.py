"""The diagnosis, through its command: runs made on purpose, other people's files, and bad input in one line."""

import json
import shutil
import time
from dataclasses import replace

import numpy as np
import processes
import pytest

from learning_gan.measure.diagnosis import cannot_tell, diagnose, report
from learning_gan.measure.records import EARLY, OTHER, Record, add_samples, read_losses
from learning_gan.parts.data import to_unit_range
from learning_gan.parts.recipes import recipe
from learning_gan.run.folder import sample_files
from learning_gan.run.recorder import TrainingDiverged
from learning_gan.run.training import GAN, train
from learning_gan.trials.changes import FAILURES, train_change

QUICK = dict(epochs=2, batch_size=1_000, g_hidden_size=32, d_hidden_size=32)


@pytest.fixture
def diagnosed(tmp_path, capsys):
    "What the command finds, as JSON, and what it prints."

    def diagnosed(*words):
        capsys.readouterr()
        processes.command("diagnose", *words, "--json", tmp_path / "found.json")
        return json.loads((tmp_path / "found.json").read_text()), capsys.readouterr().out

    return diagnosed


@pytest.fixture(autouse=True)
def not_compiled(monkeypatch):
    monkeypatch.setattr(GAN, "compiles_well", lambda model: False)


@pytest.mark.parametrize("name", ["swapped", "shared_step"])
def test_a_run_made_on_purpose_is_named(name, tmp_path, diagnosed, digits):
    train_change(FAILURES[name], digits, tmp_path / "run", seed=3, **QUICK)
    found, text = diagnosed("--run", tmp_path / "run")
    first = found["findings"][0]
    assert (first["name"], first["sure"]) == (FAILURES[name].finding, "certain")
    assert set(first) == {"name", "sure", "evidence", "try", "exhibit"}
    assert first["exhibit"].endswith(f"measure/diagnosis.html#{first['name']}")
    assert first["evidence"] in text


def test_a_run_is_looked_at_as_it_is_now(tmp_path, diagnosed, digits):
    "Once it goes on it has not diverged, and what a kill has left of an epoch is not looked at."
    run, hp = tmp_path / "run", recipe("steady", **QUICK | {"epochs": 1})
    train(hp, digits, run, verbose=False)
    (run / "diverged.txt").write_text("a loss is no longer finite at update 56\n")
    assert diagnosed("--run", run)[0]["findings"][0]["name"] == "diverged"
    train(replace(hp, epochs=2), digits, run, verbose=False)
    found, _ = diagnosed("--run", run)
    assert "diverged" not in {finding["name"] for finding in found["findings"]}
    last = sample_files(run)[-1]
    shutil.copy(last, last.with_name(last.name.replace("2", "3")))
    with (run / "history.csv").open("a") as file:
        file.write("3,1.2")
    assert len(sample_files(run)) == 3 and diagnosed("--run", run)[0] == found


def test_training_says_where_it_diverged(tmp_path, diagnosed, digits):
    hp = recipe("steady", **QUICK | {"loss": "naive", "learning_rate": 0.5})
    with pytest.raises(TrainingDiverged) as raised:
        train(hp, digits, tmp_path / "run", verbose=False)
    assert (tmp_path / "run" / "diverged.txt").read_text() == f"{raised.value}\n"
    first = diagnosed("--run", tmp_path / "run")[0]["findings"][0]
    assert (first["name"], first["sure"]) == ("diverged", "certain")


LOSSES = {
    "healthy": ("epoch,d_loss,g_loss\n" + "".join(f"{i},{1.2 + i % 3 / 20},1.0\n" for i in range(9)), []),
    "CSVLogger": ("epoch,d_loss,g_loss,val_d_loss,val_g_loss\n" + "0,1.386,0.693,1,1\n" * 9, ["d_idle"]),
    "NaN": ("Epoch,loss_D,loss_G\n1,1.2,1.0\n2,nan,nan\n", ["diverged"]),
    "pandas": ("d_loss,g_loss\n1.2,1.0\n1.1,1.1\n,\n", ["diverged"]),
    "D wins": ("epoch,disc_loss,gen_loss\n" + "1,0.01,9.0\n" * 9, ["d_wins"]),
    "too early": ("epoch,disc_loss,gen_loss\n" + "1,0.01,9.0\n" * 4, []),
    "least squares": ("d_loss,g_loss\n" + "0.2,0.21\n" * 9, []),
    "hinge": ("d_loss,g_loss\n" + "1.4,0.79\n1.6,0.6\n1.7,0.48\n" * 3, []),
    "wasserstein": ("d_loss,g_loss\n" + "-0.1,9.0\n0.2,7.0\n" * 5, []),
    "d_loss averaged": ("d_loss,g_loss\n" + "0.6,1.0\n0.62,0.95\n" * 5, []),
    "summed over a minibatch": ("d_loss,g_loss\n" + "131,95\n133,90\n" * 5, []),
}


def test_losses_of_others(tmp_path, diagnosed):
    for kind, (text, names) in LOSSES.items():
        (tmp_path / "losses.csv").write_text(text)
        found, said = diagnosed("--history", tmp_path / "losses.csv")
        assert [finding["name"] for finding in found["findings"]] == names, kind
        assert {"collapse", "memorised", "wrong_range"} <= set(found["cannot_tell"])
        assert ("nothing found" in said) == (not names) and "not looked for" in said


def test_which_loss_it_is_decides(tmp_path):
    "A small d_loss and g_loss: swapped labels as cross entropies, and nothing as anything else."
    (tmp_path / "losses.csv").write_text("d_loss,g_loss\n" + "0.325,0.105\n" * 9)
    said = {}
    for loss in (None, "non_saturating", "least_squares", "hinge", "wasserstein", "other"):
        record = read_losses(tmp_path / "losses.csv", loss)
        said[loss] = [(finding.name, finding.sure) for finding in diagnose(record)]
        assert ("taken for cross entropies" in report(record)) == (loss is None)
    assert said.pop(None) == [("swapped_labels", "possible")]
    assert said.pop("non_saturating") == [("swapped_labels", "likely")]
    assert not any(said.values())
    flat = dict.fromkeys(("loss", "loss_last"), np.ones(9)) | {"variety": np.full(9, 0.01)}  # no GAN
    assert diagnose(Record(flat, updates=2 * EARLY, loss=OTHER))[0].name == "collapse"
    of_gans = {"d_wins", "swapped_labels", "double_sigmoid", "d_idle"}
    assert of_gans <= set(cannot_tell(Record(flat, loss=OTHER)))


def test_samples_of_others(tmp_path, diagnosed, digits):
    (tmp_path / "losses.csv").write_text(LOSSES["healthy"][0])
    images = digits.test.images[:32, ..., 0]
    for few, names in ((np.repeat(images[:1], 16, axis=0), ["collapse"]), (images[:16], [])):
        np.savez(tmp_path / "images.npz", samples=few)
        found, _ = diagnosed("--history", tmp_path / "losses.csv", "--samples", tmp_path / "images.npz")
        assert [finding["name"] for finding in found["findings"]] == names
        assert "collapse" not in found["cannot_tell"]
    seen = []
    for shape in ((28, 28), (784,), (28, 28, 1)):
        np.savez(tmp_path / "images.npz", samples=to_unit_range(images).reshape(2, 16, *shape))
        seen.append(add_samples(read_losses(tmp_path / "losses.csv"), tmp_path / "images.npz")["variety"])
    np.testing.assert_array_equal(seen, seen[:1] * 3)


@pytest.mark.parametrize("shape", [(28, 28, 1), (784,)])
def test_many_samples_take_no_longer(shape, tmp_path):
    "What `learning_gan_sample --npz` writes, 10,000 of it."
    images = np.random.default_rng(0).uniform(-1, 1, (10_000, *shape)).astype("float32")
    (tmp_path / "losses.csv").write_text(LOSSES["healthy"][0])
    np.savez(tmp_path / "new.npz", samples=images)
    start = time.process_time()
    assert add_samples(read_losses(tmp_path / "losses.csv"), tmp_path / "new.npz").knows("twins")
    assert time.process_time() - start < 3


def test_bad_input_gets_one_line(tmp_path, capsys):
    losses, images = tmp_path / "losses.csv", tmp_path / "images.npz"
    losses.write_text("epoch;d_loss;g_loss\n1;1;1\n2;1;1\n")
    np.savez(images, samples=np.zeros((2, 28, 28), "float32"))
    (tmp_path / "healthy.csv").write_text(LOSSES["healthy"][0])
    for words, why in [  # chapters 62 and 52 try all else
        (["--history", losses], "save it with commas"),
        (["--history", tmp_path / "healthy.csv", "--samples", images], "give 8 or more"),
        (["--run", tmp_path], str(tmp_path)),
        (["--history", tmp_path / "none.csv"], str(tmp_path)),
    ]:
        with pytest.raises(SystemExit) as stopped:
            processes.command("diagnose", *words, "--json", tmp_path / "found.json")
        assert why in str(stopped.value) and "\n" not in str(stopped.value).strip()
    with pytest.raises(SystemExit):
        processes.command("diagnose")
    assert not (tmp_path / "found.json").exists()
