"""Train the post's recipe with several seeds, score each, and write nbs/results/baseline.json, which chapter 20 reads.

The runs go to runs/study and can be interrupted: the same command goes on where it stopped.
"""

import argparse
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from learning_gan.data import load_mnist
from learning_gan.files import atomic_path
from learning_gan.network import HyperParameters
from learning_gan.runs import run_config
from learning_gan.sampling import load_generator, sample
from learning_gan.scorecard import CLASSIFIER_SHA256, Reference, ScoreEpochs
from learning_gan.training import train

ROOT = Path(__file__).resolve().parent.parent
SCORE_SEED = 0  # of the shuffles, the noise and the latents, the same for every run
CURVE_IMAGES, CURVE_EVERY = 2_000, 10


def study_run(
    run: Path, hp: HyperParameters, data, seed: int, reference: Reference, curve_reference: Reference
) -> dict:
    "Train a seed, or go on with it; its curve over the epochs and its score at the end."
    scoring = ScoreEpochs(curve_reference, CURVE_EVERY, run.with_suffix(".json"))
    train(hp, data, run, seed, callbacks=(scoring,))
    images = sample(load_generator(run), reference.n, SCORE_SEED)
    return {"seed": seed, "generated": reference.measure(images), "curve": scoring.scores}


def provenance(hp: HyperParameters, data, n: int) -> dict:
    "What the results were made with."
    about = {"command": "make study-scores", "date": datetime.now(UTC).date().isoformat()}
    about |= {key: value for key, value in run_config(hp, 0, data).items() if key != "seed"}
    return about | {
        "classifier_sha256": CLASSIFIER_SHA256,
        "n": n,
        "seed": SCORE_SEED,
        "curve_n": CURVE_IMAGES,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--n", type=int, default=10_000, help="images of the score at the end")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "study")
    parser.add_argument("--out", type=Path, default=ROOT / "nbs" / "results")
    args = parser.parse_args()
    data, hp = load_mnist("mnist"), HyperParameters(epochs=args.epochs)
    args.runs.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    reference, curve_reference = (Reference(data, n, SCORE_SEED) for n in (args.n, CURVE_IMAGES))
    floors = {"real": reference.real, "noise": reference.noise, "curve_real": curve_reference.real}
    runs = []
    for seed in args.seeds:
        print(f"seed {seed}", flush=True)
        runs.append(study_run(args.runs / f"seed-{seed}", hp, data, seed, reference, curve_reference))
    with atomic_path(args.out / "baseline.json") as temporary:
        results = provenance(hp, data, args.n) | floors | {"runs": runs}
        temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (args.out / "baseline").mkdir(exist_ok=True)
    for name in ("config.json", "generator.keras"):  # enough of a run folder for `load_generator`
        with atomic_path(args.out / "baseline" / name) as temporary:
            shutil.copyfile(args.runs / f"seed-{args.seeds[0]}" / name, temporary)
    print(f"wrote baseline.json and baseline/ into {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
