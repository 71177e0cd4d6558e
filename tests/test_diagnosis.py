"""The diagnosis, through its command: runs made on purpose, other people's files, and bad input in one line."""

import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from learning_gan.app.commands import diagnose_command
from learning_gan.measure.diagnosis import cannot_tell, diagnose, report
from learning_gan.measure.records import OTHER, Record, add_samples, read_losses
from learning_gan.measure.rules import EARLY
from learning_gan.parts.data import load_mnist, to_unit_range
from learning_gan.parts.recipes import recipe
from learning_gan.run.folder import sample_files
from learning_gan.run.recorder import TrainingDiverged
from learning_gan.run.training import train
from learning_gan.trials.changes import FAILURES, train_change

QUICK = dict(epochs=2, batch_size=1_000, g_hidden_size=32, d_hidden_size=32)


@pytest.fixture
def diagnosed(tmp_path, capsys):
    "What the command finds, as JSON, and what it prints."

    def diagnosed(*words):
        capsys.readouterr()
        diagnose_command([*map(str, words), "--json", str(tmp_path / "found.json")])
        return json.loads((tmp_path / "found.json").read_text()), capsys.readouterr().out

    return diagnosed


@pytest.mark.parametrize("name", ["swapped", "shared_step", "diverged"])
def test_a_run_made_on_purpose_is_named(name, tmp_path, diagnosed):
    train_change(FAILURES[name], load_mnist("embedded"), tmp_path / "run", seed=3, **QUICK)
    found, text = diagnosed("--run", tmp_path / "run")
    first = found["findings"][0]
    assert (first["name"], first["sure"]) == (FAILURES[name].finding, "certain")
    assert set(first) == {"name", "sure", "evidence", "try", "exhibit"}
    assert first["exhibit"].endswith(f"measure/diagnosis.html#{first['name']}")
    assert first["evidence"] in text


def test_a_run_that_diverged_and_goes_on_is_not_called_so(tmp_path, diagnosed):
    run, hp = tmp_path / "run", recipe("steady", **QUICK | {"epochs": 1})
    train(hp, load_mnist("embedded"), run, verbose=False)
    (run / "diverged.txt").write_text("a loss is no longer finite at update 56\n")
    assert diagnosed("--run", run)[0]["findings"][0]["name"] == "diverged"
    train(replace(hp, epochs=2), load_mnist("embedded"), run, verbose=False)
    assert "diverged" not in {finding["name"] for finding in diagnosed("--run", run)[0]["findings"]}


def test_what_a_killed_run_has_of_its_last_epoch_is_not_looked_at(tmp_path, diagnosed):
    run = tmp_path / "run"
    train(recipe("steady", **QUICK), load_mnist("embedded"), run, verbose=False)
    found, _ = diagnosed("--run", run)
    samples = sample_files(run)
    shutil.copy(samples[-1], samples[-1].with_name(samples[-1].name.replace("2", "3")))
    with (run / "history.csv").open("a") as file:
        file.write("3,1.2")
    assert len(sample_files(run)) == 3
    assert diagnosed("--run", run)[0] == found


def test_training_says_where_it_diverged(tmp_path):
    hp = recipe("steady", **QUICK | {"loss": "naive", "learning_rate": 0.5})
    with pytest.raises(TrainingDiverged) as raised:
        train(hp, load_mnist("embedded"), tmp_path / "run", verbose=False)
    assert (tmp_path / "run" / "diverged.txt").read_text() == f"{raised.value}\n"


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


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_of_others(kind, tmp_path, diagnosed):
    text, names = LOSSES[kind]
    (tmp_path / "losses.csv").write_text(text)
    found, said = diagnosed("--history", tmp_path / "losses.csv")
    assert [finding["name"] for finding in found["findings"]] == names
    assert {"collapse", "memorised", "wrong_range"} <= set(found["cannot_tell"])
    assert ("nothing found" in said) == (not names)
    assert "not looked for" in said


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
    with pytest.raises(ValueError, match="unknown loss 'lsgan': choose"):
        read_losses(tmp_path / "losses.csv", "lsgan")


def test_a_model_that_is_no_gan_has_other_losses():
    flat = dict.fromkeys(("loss", "loss_last"), np.ones(9)) | {"variety": np.full(9, 0.01)}
    assert diagnose(Record(flat, updates=2 * EARLY, loss=OTHER))[0].name == "collapse"
    assert {"d_wins", "swapped_labels", "double_sigmoid", "d_idle"} <= set(
        cannot_tell(Record(flat, loss=OTHER))
    )


def test_samples_of_others(tmp_path, diagnosed):
    (tmp_path / "losses.csv").write_text(LOSSES["healthy"][0])
    one = load_mnist("embedded").test.images[:1, ..., 0]
    for images, names in ((np.repeat(one, 16, axis=0), ["collapse"]), (_digits(16), [])):
        np.savez(tmp_path / "images.npz", samples=images)
        found, _ = diagnosed("--history", tmp_path / "losses.csv", "--samples", tmp_path / "images.npz")
        assert [finding["name"] for finding in found["findings"]] == names
        assert "collapse" not in found["cannot_tell"]
    epochs = np.stack([to_unit_range(_digits(16)), to_unit_range(_digits(32)[16:])])
    record = read_losses(tmp_path / "losses.csv")
    shapes = {"pictures": (28, 28), "flat": (784,), "with_channels": (28, 28, 1)}
    for name, shape in shapes.items():
        np.savez(tmp_path / f"{name}.npz", samples=epochs.reshape(2, 16, *shape))
    seen = [add_samples(record, tmp_path / f"{name}.npz")["variety"] for name in shapes]
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])


@pytest.mark.parametrize("shape", [(28, 28, 1), (784,)])
def test_many_samples_take_no_longer(shape, tmp_path):
    "What `learning_gan_sample --npz` writes, 10,000 of it."
    images = np.random.default_rng(0).uniform(-1, 1, (10_000, *shape)).astype("float32")
    (tmp_path / "losses.csv").write_text(LOSSES["healthy"][0])
    np.savez(tmp_path / "new.npz", samples=images)
    start = time.process_time()
    assert add_samples(read_losses(tmp_path / "losses.csv"), tmp_path / "new.npz").knows("twins")
    assert time.process_time() - start < 3


def _digits(n):
    return load_mnist("embedded").test.images[:n, ..., 0]


BAD = {
    "no columns": ("epoch,loss\n1,1\n2,1\n", None, "columns for the discriminator's loss"),
    "semicolons": ("epoch;d_loss;g_loss\n1;1;1\n2;1;1\n", None, "save it with commas"),
    "decimal commas": ('epoch,d_loss,g_loss\n1,"0,3","1,2"\n2,"0,3","1,2"\n', None, "with a point"),
    "one epoch": ("epoch,d_loss,g_loss\n1,1,1\n", None, "fewer than two epochs"),
    "flat samples": (LOSSES["healthy"][0], (16, 783), "make it [n, height, width]"),
    "few samples": (LOSSES["healthy"][0], (2, 28, 28), "give 8 or more"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gets_one_line(kind, tmp_path, capsys):
    text, shape, why = BAD[kind]
    (tmp_path / "losses.csv").write_text(text)
    words = ["--history", str(tmp_path / "losses.csv"), "--json", str(tmp_path / "found.json")]
    if shape:
        np.savez(tmp_path / "images.npz", samples=np.zeros(shape, "float32"))
        words += ["--samples", str(tmp_path / "images.npz")]
    with pytest.raises(SystemExit) as stopped:
        diagnose_command(words)
    assert why in str(stopped.value)
    assert "\n" not in str(stopped.value).strip()
    assert not (tmp_path / "found.json").exists()


def test_nothing_to_read(tmp_path):
    for words in (["--run", str(tmp_path)], ["--history", str(tmp_path / "none.csv")]):
        with pytest.raises(SystemExit) as stopped:
            diagnose_command(words)
        assert str(tmp_path) in str(stopped.value)
    with pytest.raises(SystemExit):
        diagnose_command([])
