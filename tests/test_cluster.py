"""A training shared by several devices and several machines: the same result, one run folder, and what goes wrong."""

import itertools
import json
import os
import signal
import socket
from pathlib import Path

import chapters
import numpy as np
import processes
import pytest
from processes import Process

from learning_gan.run.devices import ClusterError, read_cluster
from learning_gan.run.folder import read_config, read_history

SMALL = {"data": "embedded", "g_hidden_size": 8, "d_hidden_size": 8, "batch_size": 5_502, "epochs": 1}
SMALL = [word for name, value in SMALL.items() for word in (f"--{name}", value)]


PORTS = itertools.count(20_000 + os.getpid() * 16 % 10_000)  # below those that systems give to anybody


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("localhost", port)) != 0


def free_ports(n: int) -> list[int]:
    "Ports that nobody listens to, and that no other test is given."
    return list(itertools.islice(filter(is_free, PORTS), n))


@pytest.fixture
def machines(tmp_path):
    "Start trainings on machines that know each other, each with its own words; nothing of them is left behind."
    started = []

    def start(out: Path, *words: list, addresses=None) -> list[Process]:
        addresses = addresses or [f"localhost:{port}" for port in free_ports(len(words))]
        for number, more in enumerate(words):
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
            env = os.environ | {"TF_CONFIG": json.dumps(cluster), "TF_NUM_INTRAOP_THREADS": "1"}
            folder = tmp_path / f"said_{len(started)}"
            started.append(Process(folder, "train", "--out", out, *SMALL, *more, env=env))
            started[-1].addresses = addresses
        return started[-len(words) :]

    yield start
    for machine in started:
        machine.signal(signal.SIGKILL)


# The same result


def try_chapter() -> None:
    "The cells that part the CPU, and fit, which a process does before all else or never: `nbdev_test` skips them."
    from nbdev.test import test_nb

    passed, _ = test_nb(chapters.NOTEBOOKS / "machine" / "51_devices.ipynb", basepath=chapters.ROOT)
    assert passed


def test_two_devices_of_a_machine_train_as_one_does():
    done = processes.run(try_chapter)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("recipe", "count"), [("post", 2), pytest.param("dcgan", 3, marks=pytest.mark.long)])
def test_machines_train_as_one_does_into_one_folder_which_any_number_can_go_on_with(
    tmp_path, machines, recipe, count
):
    "Losses agree within rounding, and have moved; batch normalisation measures the whole minibatch."
    run, alone, words = tmp_path / "run", tmp_path / "alone", ["--recipe", recipe, "--decay", 0]
    chief, *others = machines(run, *[words] * count)
    assert [machine.wait() for machine in (chief, *others)] == [0] * count, chief.err.read_text()
    processes.succeed("train", "--out", alone, *SMALL, *words)
    one, other = map(read_history, (run, alone))
    for name in one.dtype.names[1:5]:
        np.testing.assert_allclose(one[name], other[name], atol=1e-4, err_msg=name)
    assert abs(one["d_loss"][0] - one["d_loss_mean"][0]) > 0.01
    lines = chief.out.read_text().splitlines()
    assert lines[0].startswith("Epoch 1/1") and lines[1].startswith("pictures")
    assert {other.out.read_text() for other in others} == {f"done: the chief keeps the run in {run}\n"}
    assert read_config(run)["replicas"] == count and (run / "samples.png").exists()
    done = processes.run("train", "--out", run, *SMALL, *words, "--epochs", 2)
    assert done.returncode == 0 and "resuming after epoch 1 of 2" in done.stdout
    assert (
        "may not continue to the bit" in done.stderr
        and f"replicas is {count} there and 1 here" in done.stderr
    )


# Faults


@pytest.mark.long
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_machine_ends_the_others_and_the_same_commands_go_on(tmp_path, machines, killed):
    run, epochs = tmp_path / "run", 60
    words = ["--epochs", epochs, "--batch_size", 1_000]
    workers = machines(run, words, words)
    workers[0].wait(until=(run / "checkpoints" / "epoch_00002.npz").exists)
    if killed:  # while both run: a second chief, and somebody alone in the same folder
        (second,) = machines(run, words, addresses=workers[0].addresses)
        assert second.wait() == 1 and "is this worker running already?" in second.err.read_text()
        assert "another process is training" in processes.refused("train", "--out", run, *SMALL, *words)
    workers[killed].signal(signal.SIGKILL)
    left = workers[1 - killed]
    assert left.wait(seconds=60) == 1
    waiting, why = left.err.read_text().splitlines()
    assert waiting.endswith("waiting for the others")
    assert why.startswith("learning_gan_train: another machine of the cluster is gone: give all the same")
    done = len(read_history(run))
    assert 2 <= done < epochs
    if killed:
        words[1] = done + 1
        workers = machines(run, words, words)
        assert [worker.wait() for worker in workers] == [0, 0]
        assert f"resuming after epoch {done} of {done + 1}" in workers[0].out.read_text()


@pytest.mark.long
def test_machines_that_were_given_different_commands_are_told(tmp_path, machines):
    workers = machines(tmp_path / "run", ["--seed", 0], ["--seed", 1])
    assert [worker.wait() for worker in workers] == [1, 1]
    for worker in workers:
        assert "the machines disagree: give all the same command" in worker.err.read_text().splitlines()[-1]


def config(*addresses, task=("worker", 1), **more) -> str:
    "A TF_CONFIG."
    cluster = {"worker": [*addresses] or ["a:1", "b:2"], **more}
    return json.dumps({"cluster": cluster, "task": task and dict(zip(("type", "index"), task, strict=True))})


WRONG = [
    ("{", "Expecting"),
    ("[]", "indices"),
    (config("a:1", ps=["b:2"]), "nothing else"),
    (config().replace('["a:1", "b:2"]', '"a:1"'), "host:port"),
    (config("a", "b:2"), "host:port"),
    (config("a:1", "a:1"), "twice"),
    (config("c:3", chief=["a:1", "b:2"]), "two chiefs"),
    (config(task=("chief", 0)), "'chief'"),
    *((config(task=("worker", index)), "index into it") for index in (2, -1, "1")),
    (config(task=None), "subscriptable"),
]


def test_a_configuration_is_read_or_refused_with_an_example():
    for text, why in WRONG:
        with pytest.raises(ClusterError, match=why) as refused:
            read_cluster(text)
        assert "it looks like" in str(refused.value)
    assert read_cluster(config()) == (["a:1", "b:2"], 1)
    assert read_cluster(config("a:1", "b:2", chief=["c:3"])) == (["c:3", "a:1", "b:2"], 2)
    assert read_cluster("{}") == read_cluster('{"cluster": {}, "task": {}}') == ([""], 0)  # a single machine


def test_the_command_says_it_in_one_line(tmp_path):
    for cluster, flags, why in [
        ("{", [], "TF_CONFIG cannot be used"),
        ("", ["--devices", 0], "--devices must be from 1"),
        ("", ["--devices", 4], "4 devices cannot share equally: use 5500 or 5504"),
        (config(), ["--devices", 2], "has none"),
    ]:
        env = os.environ | {"TF_CONFIG": cluster}
        assert why in processes.refused("train", "--out", tmp_path / "run", *SMALL, *flags, env=env)
    assert not (tmp_path / "run").exists()
