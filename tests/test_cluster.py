"""A training shared by several devices and several machines: the same result, one run folder, and what goes wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from learning_gan.devices import ClusterError, read_cluster
from learning_gan.runs import read_config, read_history

pytestmark = pytest.mark.cluster
TEAMS = Path(__file__).parent / "teams.py"
TRAIN = ["-c", "from learning_gan.cli import train_command; train_command()"]
SMALL = ["--data", "embedded", "--g_hidden_size", "8", "--d_hidden_size", "8", "--batch_size", "1000"]
RECIPES = ["post", "dcgan"]


class Worker:
    "A process that is one machine of a cluster; what it prints lies in two files."

    def __init__(self, folder: Path, number: int, addresses: list[str], command: list):
        self.files = [folder / f"{number}.{kind}" for kind in ("out", "err")]
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        one = {"TF_CONFIG": json.dumps(cluster), "TF_NUM_INTRAOP_THREADS": "1"}
        with ExitStack() as opened:
            out, err = (opened.enter_context(open(path, "w")) for path in self.files)
            arguments = [sys.executable, *map(os.fspath, command)]
            self.process = subprocess.Popen(arguments, env=os.environ | one, stdout=out, stderr=err)

    @property
    def said(self) -> list[list[str]]:
        "Lines on standard output and on standard error."
        return [path.read_text().splitlines() for path in self.files]

    def wait(self, seconds: float = 240) -> int:
        return self.process.wait(seconds)


@pytest.fixture
def cluster(tmp_path):
    "Start machines that know each other; nothing of them is left behind."
    started = []

    def start(commands: list[list], addresses: list[str] | None = None) -> list[Worker]:
        addresses = addresses or [f"localhost:{port}" for port in free_ports(len(commands))]
        folder = tmp_path / f"said_{len(started)}"
        folder.mkdir()
        workers = [Worker(folder, i, addresses, command) for i, command in enumerate(commands)]
        for worker in workers:
            worker.addresses = addresses
        started.extend(workers)
        return workers

    yield start
    for worker in started:
        worker.process.kill()
        worker.wait()


def free_ports(n: int) -> list[int]:
    "Ports that nobody listens to."
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def train(out: Path, *more) -> list:
    return [*TRAIN, "--out", out, *SMALL, *map(str, more)]


def until(true, seconds: float = 120) -> None:
    "Wait until something has happened."
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


# The same result


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, np.ndarray]:
    "Ten updates of each recipe on one device."
    path = tmp_path_factory.mktemp("alone") / "alone.npz"
    subprocess.run([sys.executable, TEAMS, path, "1", *RECIPES], check=True, timeout=240)
    return dict(np.load(path))


def check_same(found: dict, alone: dict) -> None:
    "The losses of ten updates agree within rounding."
    for name in RECIPES:
        np.testing.assert_allclose(found[f"{name}_losses"], alone[f"{name}_losses"], atol=1e-4, err_msg=name)
    assert alone["post_losses"].shape == (10, 2) and np.ptp(alone["post_losses"][:, 0]) > 0.05


def test_two_devices_of_a_machine_train_as_one_does(tmp_path, alone):
    "Batch normalisation measures the whole minibatch, and Keras's own `fit` works in the scope too."
    path = tmp_path / "mirrored.npz"
    subprocess.run([sys.executable, TEAMS, path, "2", *RECIPES], check=True, timeout=240)
    found = dict(np.load(path))
    check_same(found, alone)
    np.testing.assert_allclose(found["fitted"], alone["fitted"], atol=1e-4)


def test_the_chapter_holds_where_the_cpu_can_still_be_parted():
    "In a process of its own: nbdev_test runs several chapters in one, and skips these cells."
    chapter = Path(__file__).parent.parent / "nbs" / "36_several_machines.ipynb"
    command = [Path(sys.executable).parent / "nbdev_test", "--path", chapter, "--flags", "notest"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0 and "Success." in done.stdout, done.stdout + done.stderr


def test_three_machines_train_as_one_does(tmp_path, cluster, alone):
    files = [tmp_path / f"{i}.npz" for i in range(3)]
    workers = cluster([[TEAMS, file, "1", *RECIPES] for file in files])
    assert [worker.wait() for worker in workers] == [0] * 3, workers[0].said
    found = [dict(np.load(file)) for file in files]
    check_same(found[0], alone)
    for other in found[1:]:
        for name in RECIPES:
            np.testing.assert_array_equal(other[f"{name}_weights"], found[0][f"{name}_weights"])
    assert "use learning_gan.training.train" in str(found[0]["refused"])


# One run folder


def test_two_commands_make_one_run_which_any_number_can_go_on_with(tmp_path, cluster):
    run = tmp_path / "run"
    workers = cluster([train(run, "--epochs", 2)] * 2)
    assert [worker.wait() for worker in workers] == [0, 0], [w.said for w in workers]
    (chief, _), (other, _) = (worker.said for worker in workers)
    assert [line[:9] for line in chief[:2]] == ["Epoch 1/2", "Epoch 2/2"] and chief[2].startswith("pictures")
    assert other == [f"done: the chief keeps the run in {run}"]
    assert len(read_history(run)) == 2 and (run / "samples.png").exists()
    assert read_config(run)["replicas"] == 2

    done = subprocess.run(
        [sys.executable, *train(run, "--epochs", 3)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0 and "resuming after epoch 2 of 3" in done.stdout
    assert "may not continue to the bit" in done.stderr and "replicas is 2 there and 1 here" in done.stderr


# Faults


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_machine_ends_the_others_and_the_same_commands_go_on(tmp_path, cluster, killed):
    run, epochs = tmp_path / "run", 40
    workers = cluster([train(run, "--epochs", epochs)] * 2)
    until(lambda: (run / "checkpoints" / "epoch_00002.npz").exists())
    if killed:  # while both run: a second chief, and somebody alone in the same folder
        second = cluster([train(run, "--epochs", epochs)], workers[0].addresses)[0]
        alone = subprocess.run([sys.executable, *train(run)], capture_output=True, text=True, timeout=120)
        assert second.wait() == 1 and "is this worker running already?" in second.said[1][-1]
        assert alone.returncode == 1 and "another process is training" in alone.stderr
    workers[killed].process.send_signal(signal.SIGKILL)
    assert workers[1 - killed].wait(60) == 1
    waiting, why = workers[1 - killed].said[1]
    assert waiting.endswith("waiting for the others")
    assert why.startswith("learning_gan_train: another machine of the cluster is gone: give all the same")
    done = len(read_history(run))
    assert 2 <= done < epochs
    if not killed:
        return

    workers = cluster([train(run, "--epochs", done + 1)] * 2)
    assert [worker.wait() for worker in workers] == [0, 0]
    assert f"resuming after epoch {done} of {done + 1}" in workers[0].said[0]


def test_machines_that_were_given_different_commands_are_told(tmp_path, cluster):
    workers = cluster([train(tmp_path / "run", "--seed", seed) for seed in (0, 1)])
    assert [worker.wait() for worker in workers] == [1, 1]
    assert all("the machines disagree: give all the same command" in worker.said[1][-1] for worker in workers)


def config(**changes) -> str:
    "A TF_CONFIG with something changed."
    good = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    return json.dumps(good | changes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting"),
        ("[]", "indices"),
        ("{}", "'cluster'"),
        (config(cluster={}), "name workers"),
        (config(cluster={"worker": ["a:1"], "ps": ["b:2"]}), "nothing else"),
        (config(cluster={"worker": "a:1"}), "host:port"),
        (config(cluster={"worker": ["a", "b:2"]}), "host:port"),
        (config(cluster={"worker": ["a:1", "a:1"]}), "twice"),
        (config(cluster={"chief": ["a:1", "b:2"], "worker": ["c:3"]}), "two chiefs"),
        (config(task={"type": "chief", "index": 0}), "'chief'"),
        (config(task={"type": "worker", "index": 2}), "index into it"),
        (config(task={"type": "worker", "index": -1}), "index into it"),
        (config(task={"type": "worker", "index": "1"}), "index into it"),
        (config(task=None), "subscriptable"),
    ],
)
def test_a_wrong_configuration_is_refused_with_an_example(text, why):
    with pytest.raises(ClusterError) as refused:
        read_cluster(text)
    assert why in str(refused.value) and "it looks like" in str(refused.value)


def test_a_right_configuration_is_read():
    assert read_cluster(config()) == (["a:1", "b:2"], 1)
    both = {"chief": ["c:3"], "worker": ["a:1", "b:2"]}
    assert read_cluster(config(cluster=both)) == (["c:3", "a:1", "b:2"], 2)
    assert read_cluster(config(cluster=both, task={"type": "chief", "index": 0}))[1] == 0


@pytest.mark.parametrize(
    ("environment", "flags", "why"),
    [
        ({"TF_CONFIG": "{"}, [], "TF_CONFIG cannot be used"),
        ({}, ["--devices", "0"], "--devices must be from 1"),
        ({}, ["--devices", "3"], "3 devices cannot share equally: use 999 or 1002"),
        ({"TF_CONFIG": config()}, ["--devices", "2"], "has none"),
    ],
)
def test_the_command_says_it_in_one_line(tmp_path, environment, flags, why):
    done = subprocess.run(
        [sys.executable, *train(tmp_path / "run", *flags)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and why in done.stderr
    assert not (tmp_path / "run").exists()
