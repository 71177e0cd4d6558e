"""The post's recipe with twenty seeds, scored at the end and every ten epochs: nbs/results/baseline.json and .keras.

For chapter 20. The generator that is kept is the one of the first seed.
"""

from dataclasses import asdict

from learning_gan.core.files import atomic_path
from learning_gan.measure.scoring import MEASURES, ScoreEpochs
from learning_gan.parts.recipes import recipe
from learning_gan.run.sampling import load_generator, sample
from learning_gan.run.training import train
from learning_gan.trials.studies import Study, interval
from studies import ABOUT, SEED, mnist, reference, without

HOW = {"epochs": 100, "n": 10_000, "curve_n": 2_000, "every": 10}


def do(path, cell: str, seed: int, epochs: int, n: int, curve_n: int, every: int) -> dict:
    "A seed's score at the end, and its curve over the epochs."
    run, curve = path.with_suffix(""), ScoreEpochs(reference(curve_n), every, path.with_suffix(".curve"))
    train(recipe("post", epochs=epochs), mnist(), run, seed, callbacks=(curve,), verbose=False)
    return {"generated": reference(n).measure(sample(load_generator(run), n, SEED)), "curve": curve.scores}


def pack(runs: dict, how: dict) -> dict:
    "What real images and noise score, the means, and each run."
    whole, scores = reference(how["n"]), [run["generated"] for run in runs.values()]
    ends = {"real": whole.real, "noise": whole.noise, "curve_real": reference(how["curve_n"]).real}
    means = {key: interval([score[key] for score in scores]) for key in MEASURES}
    runs = [{"seed": seed} | run for (_, seed), run in runs.items()]
    return {"recipe": asdict(recipe("post", epochs=how["epochs"])), **ends, "means": means, "runs": runs}


def unpack(kept: dict) -> dict:
    "The runs again."
    return {("post", run["seed"]): without(run, "seed") for run in kept["runs"]}


def after(runs, out) -> None:
    "The first seed's generator, for the chapters."
    if (first := runs / "post-0" / "generator.keras").exists():
        with atomic_path(out / "baseline.keras") as temporary:
            temporary.write_bytes(first.read_bytes())


STUDY = Study("scores", "baseline", do, {"post": range(20)}, HOW, pack, unpack, ABOUT, after=after)
