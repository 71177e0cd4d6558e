"""Where a result file comes from: the command, the versions, the machine, the date."""

import datetime
import os
import platform
from importlib import metadata

PACKAGES = ("learning_gan", "tensorflow", "keras", "numpy", "torch", "jax", "tf-keras")


def cpu_model():
    "The name of the processor, where the system tells it."
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def provenance(
    command,  # what a reader types to make the result again
    **more,  # such as the seeds and the hash of the data
):
    "Command, date, versions and machine, and what else belongs to the result."
    versions = {"python": platform.python_version()} | {p: v for p in PACKAGES if (v := _version(p))}
    machine = {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
    }
    return {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "versions": versions,
        "machine": machine,
        **more,
    }
