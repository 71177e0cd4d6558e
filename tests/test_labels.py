"""A hundred labels: no other label reaches the training, the losses are the paper's, and what is saved can be read."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import processes
import pytest

from learning_gan.core.backend import keras, tf
from learning_gan.parts import recipes
from learning_gan.parts.data import Images, load_mnist
from learning_gan.parts.images import sha256_of
from learning_gan.parts.recipes import recipe
from learning_gan.run import hundred_labels
from learning_gan.run.folder import RunError
from learning_gan.run.hundred_labels import (
    build_labels,
    hide_labels,
    load_classifier,
    predicted,
)  # fmt: skip
from learning_gan.run.sampling import load_model
from learning_gan.run.training import build_model, train
from studies import labels as study
from studies.labels import train_alone

SMALL = dict(g_hidden_size=2, d_hidden_size=8, batch_size=1_100, epochs=3)
HP = recipe("labels", labels=20, **SMALL)
WIDER = replace(HP, g_hidden_size=20, d_hidden_size=100)


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("labels") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "EPOCH_IMAGES", 5_500)
        train(HP, digits, out, 1, verbose=False)
    return out


def test_the_training_is_given_no_labels_but_those_chosen(digits):
    gan = build_labels(HP, 1)
    images, labels = gan.take(digits)
    assert labels is None and len(images) == len(digits.train) + len(digits.validation)
    shown, known = (part.numpy() for part in gan.labelled)
    assert np.bincount(known).tolist() == [2] * 10
    _, chosen = hide_labels(digits, 20, seed=1)
    assert np.array_equal(shown, gan.real_batch(chosen.images)) and np.array_equal(known, chosen.labels)


def test_other_labels_change_no_bit(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "EPOCH_IMAGES", 5_500)
    labels = np.concatenate([digits.train.labels, digits.validation.labels])
    rows = hundred_labels.labelled_subset(labels, 20, seed=1)
    wrong = (digits.train.labels + 1) % 10
    wrong[rows[rows < len(wrong)]] = digits.train.labels[rows[rows < len(wrong)]]
    assert (wrong != digits.train.labels).sum() > 3_900
    monkeypatch.setattr(hundred_labels, "labelled_subset", lambda labels, n, seed: rows)
    for name, known in (("right", digits.train.labels), ("wrong", wrong)):
        seen = replace(digits, train=Images(digits.train.images, known))
        train(replace(HP, epochs=1), seen, tmp_path / name, 1, verbose=False)
    both = [(tmp_path / name / "checkpoints/epoch_00001.npz").read_bytes() for name in ("right", "wrong")]
    assert both[0] == both[1]


def train_at_full_width() -> None:
    gan = build_labels(recipe("labels"), 1)
    images, _ = gan.take(load_mnist("embedded"))
    for first in range(0, 800, 200):
        gan.train_on_batch(images[first : first + 200])
    print(sha256_of(*gan.get_weights()))


def test_two_processes_at_full_width_give_the_same_bits():
    "Small networks do not show what large arrays do."
    one, other = (processes.succeed(train_at_full_width) for _ in range(2))
    assert one == other and len(one) > 60


def test_the_result_is_that_of_the_averaged_weights_on_the_test_images(finished, digits):
    result = json.loads((finished / "result.json").read_text())
    wrong = predicted(load_classifier(finished), digits.test.images) != digits.test.labels
    assert result == {"labels": 20, "seed": 1, "epochs": 3, "errors": int(wrong.sum()), "n_test": 500}
    model = load_model(finished)
    kernel = model.discriminator.get_layer("hidden_1").kernel
    averages = [v for v in model.d_optimizer.variables if v.path.endswith("hidden_1_kernel_average")]
    assert not np.array_equal(kernel, averages[0])
    assert np.array_equal(load_classifier(finished).get_layer("hidden_1").kernel, averages[0])


@pytest.mark.parametrize("noise", [True, False])
def test_the_hundred_alone_teach_something(digits, noise):
    _, labelled = hide_labels(digits, 100, seed=0)
    few = train_alone(labelled, noise=noise, updates=2)
    assert (predicted(few, digits.test.images) != digits.test.labels).mean() < 0.9


def read_all(folder, run) -> None:
    "All that was saved says and draws what its maker did, and goes on."
    with np.load(folder / "seen.npz") as file:
        images, said, drawn, z = (file[name] for name in ("images", "said", "drawn", "z"))
    network, again = (keras.saving.load_model(folder / "classifier.keras") for _ in range(2))
    again.set_weights([0 * weight for weight in again.get_weights()])
    again.load_weights(folder / "classifier.weights.h5")
    for classifier in (network, again, load_classifier(run)):
        np.testing.assert_array_equal(classifier(images), said)
    for name in ("saved", "kept"):
        model = keras.saving.load_model(folder / f"{name}.keras")
        np.testing.assert_array_equal(model.classifier()(images), said)
        np.testing.assert_array_equal(model(z), drawn)
        assert (model.labels, model.epochs, model.sorted_kinds, model.seed) == (20, 3, 10, 1)
        scale = model.discriminator.get_layer("logits").scale.numpy()
        some, _ = model.take(load_mnist("embedded"))
        assert np.array_equal(model.discriminator.get_layer("logits").scale, scale)  # learnt: left as it is
        model.jit_compile = False
        model.fit(some[:200], batch_size=100, verbose=0)


def test_whatever_is_saved_can_be_read_in_a_fresh_process(finished, digits, tmp_path):
    model = load_model(finished)
    model.take(digits)
    kept = keras.callbacks.ModelCheckpoint(tmp_path / "kept.keras")
    kept.set_model(model)
    kept.on_epoch_end(0, {})
    model.save(tmp_path / "saved.keras")
    classifier, images, z = model.classifier(), model.real_batch(digits.test.images[:50]), np.zeros((3, 100))
    classifier.save(tmp_path / "classifier.keras")
    classifier.save_weights(tmp_path / "classifier.weights.h5")
    np.savez(tmp_path / "seen.npz", images=images, said=classifier(images), z=z, drawn=model(z))
    processes.succeed(read_all, tmp_path, finished)


def test_the_losses_are_those_of_the_paper(digits):
    gan = build_labels(HP, 0)
    gan.show(digits.train[:20])
    real, fake = (gan.real_batch(digits.train.images[first:][:30]) for first in (100, 200))
    images, labels = (part.numpy() for part in gan.labelled_batch(30))
    assert np.array_equal(labels, np.r_[digits.train.labels[:20], digits.train.labels[:10]])
    features, logits, _ = zip(*(gan.discriminator(x) for x in (images, real, fake)), strict=True)
    on_labelled, on_real, on_fake = (np.log(np.exp(x.numpy()).sum(axis=1)) for x in logits)
    sorted_wrong = np.mean(on_labelled - logits[0].numpy()[np.arange(30), labels])
    unlabelled = -on_real.mean() + np.log1p(np.exp(on_real)).mean() + np.log1p(np.exp(on_fake)).mean()
    d_loss = gan.d_loss(real, fake, training=False).numpy()
    np.testing.assert_allclose(d_loss, sorted_wrong + unlabelled / 2, rtol=1e-5)
    gap = features[1].numpy().mean(axis=0) - features[2].numpy().mean(axis=0)
    np.testing.assert_allclose(gan.g_loss(real, fake, training=False).numpy(), (gap**2).mean(), rtol=1e-4)


def stop_after_the_first_epoch():
    def stop(epoch, logs):
        raise KeyboardInterrupt

    return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch and stop(epoch, logs))


@pytest.mark.parametrize("model", ["labels_fool", "labels_control", "labels_quick_sure"])
def test_an_arm_that_was_stopped_ends_at_the_same_bits_and_is_loaded_as_what_it_is(
    digits, tmp_path, monkeypatch, model
):
    monkeypatch.setattr(recipes, "EPOCH_IMAGES", 2_200)
    hp = replace(HP, model=model, gamma=0.5, epochs=2)
    train(hp, digits, tmp_path / "whole", 1, verbose=False)
    with pytest.raises(KeyboardInterrupt):
        train(hp, digits, tmp_path / "parts", 1, callbacks=(stop_after_the_first_epoch(),), verbose=False)
    assert not (tmp_path / "parts" / "result.json").exists()
    train(hp, digits, tmp_path / "parts", 1, verbose=False)
    for name in ("checkpoints/epoch_00002.npz", "result.json", "history.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    read = load_model(tmp_path / "whole")
    read.save(tmp_path / "saved.keras")
    again = keras.saving.load_model(tmp_path / "saved.keras")
    assert type(again) is type(read) and (again.labels, again.epochs, again.seed) == (20, 2, 1)
    assert (again.quick, getattr(again, "sure", 0), again.recipe.gamma) == (
        model == "labels_quick_sure", 0.1 * (model == "labels_quick_sure"), 0.5
    )  # fmt: skip
    x = again.real_batch(digits.test.images[:9])
    assert np.array_equal(again.classifier()(x), load_classifier(tmp_path / "parts")(x))


def test_the_control_has_no_generator_and_is_pushed_where_its_answer_changes_most(digits):
    gan = build_model(replace(WIDER, model="labels_control", gamma=3.0), 0)
    images, _ = gan.take(digits)
    for first in range(0, 3_000, 300):
        gan.update(gan.real_batch(images[first : first + 300]), None)
    made, sorter = (network.get_weights() for network in (gan.generator, gan.discriminator))
    real = gan.real_batch(images[:100])
    _, g_loss = gan.update(real, None)
    assert g_loss == 0 and all(map(np.array_equal, made, gan.generator.get_weights()))
    assert not np.array_equal(sorter[0], gan.discriminator.get_weights()[0])
    here, push = gan.answers(real), gan.push(real, gan.answers(real))
    np.testing.assert_allclose(np.linalg.norm(np.reshape(push, (100, -1)), axis=1), 3, rtol=1e-4)
    worst, other = (
        np.mean(hundred_labels.disagreement(here, gan.answers(real + step)))
        for step in (push, 3 * gan.directions(real))
    )
    assert worst > 5 * other > 0
    p, q = (tf.nn.softmax(logits).numpy() for logits in (here, gan.answers(real + push)))
    np.testing.assert_allclose(np.mean(np.sum(p * np.log(p / q), axis=1)), worst, rtol=1e-3)
    known = gan.labelled_batch(50)
    sorted_wrong = -np.log(tf.nn.softmax(gan.answers(known[0])).numpy()[np.arange(50), known[1]])
    np.testing.assert_allclose(gan.d_loss(real, None, training=False), sorted_wrong.mean() + worst, rtol=1e-3)


def test_the_fooling_arm_has_the_usual_loss_of_a_generator(digits):
    gan = build_model(replace(HP, model="labels_fool"), 0)
    fake = gan.real_batch(digits.train.images[:30])
    real = np.log(np.exp(gan.discriminator(fake)[1].numpy()).sum(axis=1))
    np.testing.assert_allclose(
        gan.g_loss(None, fake, training=False), np.log1p(np.exp(-real)).mean(), rtol=1e-4
    )


def test_the_penalties_are_a_slope_along_z_and_an_entropy(digits):
    gan = build_model(replace(WIDER, model="labels_sure", gamma=1e5), 0)
    gan.take(digits)
    real, z = gan.real_batch(digits.train.images[:7]), tf.random.stateless_uniform((7, 100), (0, 1), -1, 1)
    with tf.autodiff.ForwardAccumulator(z, gan.directions(z)) as forward:
        answers = gan.answers(gan.fakes(z))
    slope = np.sum(np.square(forward.jvp(answers)), axis=1).mean()
    p = tf.nn.softmax(gan.answers(real)).numpy()
    entropy = -np.sum(p * np.log(p), axis=1).mean()
    np.testing.assert_allclose(gan.unrest(real, z) - 0.1 * entropy, 1e5 * slope, rtol=5e-2)
    gan.recipe = replace(gan.recipe, gamma=0.0)
    np.testing.assert_allclose(gan.unrest(real, z), 0.1 * entropy, rtol=1e-5)


def test_a_quick_one_sees_half_the_labelled_images_and_matches_features_without_noise(digits):
    quick, usual = (build_model(replace(HP, model=model), 0) for model in ("labels_quick", "labels"))
    for gan in (quick, usual):
        gan.show(digits.train[:20])
    real, fake = (quick.real_batch(digits.train.images[first:][:30]) for first in (100, 200))
    assert [len(gan.labelled_batch(30)[1]) for gan in (quick, usual)] == [15, 30]
    assert quick.g_loss(real, fake) == quick.g_loss(real, fake) and usual.g_loss(real, fake) != usual.g_loss(
        real, fake
    )

    def of_fakes(gan):
        "d_loss without its first part."
        images, labels = gan.labelled_batch(30)
        logits = gan.discriminator(images)[1]
        wrong = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return gan.d_loss(real, fake, training=False) - tf.reduce_mean(wrong)

    np.testing.assert_allclose(of_fakes(quick), of_fakes(usual), rtol=1e-4)


def explored(**means):
    "A result file that holds these errors, of one seed each."
    runs = [{"arm": f"explore/{name}", "labels": 100, "seed": 100, "errors": n} for name, n in means.items()]
    return lambda name: {"runs": [], "explored": {"runs": runs}}


def test_what_a_study_of_labels_chooses_follows_from_its_exploration_alone(monkeypatch):
    first = dict(base=60, average=61, sure=59, quick=58, smooth_2=57, smooth_3=50)
    monkeypatch.setattr(
        study, "load_results", explored(**first, far=50, far_joined=51, push_6=9, push_20=8, push_12=9)
    )
    joined = {"model": "labels_quick_sure", "gamma": 1e-3, "epochs": 506}
    assert study.changes_of("explore/far_joined") == joined
    assert study.changes_of("chosen/100") == study.FAR
    assert study.changes_of("control/100")["gamma"] == 2.0
    del first["quick"], first["sure"]  # not trained
    monkeypatch.setattr(study, "load_results", explored(**first, far=50, far_joined=49))
    assert study.changes_of("chosen/100") == {"model": "labels_smooth", "gamma": 1e-3, "epochs": 450}
    with pytest.raises(study.StudyError, match="push_6, push_12, push_20"):
        study.changes_of("control/100")


def test_the_exploration_of_labels_has_no_test_image(monkeypatch, digits):
    monkeypatch.setattr(study, "mnist", lambda: digits)
    study.without_test.cache_clear()
    data = study.without_test()
    study.without_test.cache_clear()
    assert data.train is digits.train and not len(data.validation) and data.test is digits.validation
    images, _ = hide_labels(data, 20, seed=1)
    assert np.array_equal(images, digits.train.images)  # validation images stay out of the training


BAD_LABELS = {  # and in which parts of the data
    "no labels|labelled test images": (lambda labels: None, "train", "test"),
    "one-hot": (lambda labels: np.eye(10, dtype=int)[labels], "train", "test"),
    "whole numbers": (lambda labels: labels.astype(str), "train", "test"),
    "-1": (lambda labels: labels.astype(int) - 1, "train", "test"),
    "--classes 11": (lambda labels: np.where(np.arange(len(labels)) == 7, 10, labels), "train", "test"),
    "labels": (lambda labels: labels[1:], "train"),
    "9 kinds of label, and the recipe 10: use --classes 9": (lambda labels: np.minimum(labels, 8), "train validation"),
}  # fmt: skip


@pytest.mark.parametrize("said", BAD_LABELS)
def test_labels_that_cannot_be_used_are_refused_in_one_line(digits, tmp_path, said):
    change, *places = BAD_LABELS[said]
    for place in places:
        bad = digits
        for part in place.split():
            images = getattr(digits, part)
            bad = replace(bad, **{part: Images(images.images, change(images.labels))})
        with pytest.raises(ValueError, match=said) as refused:
            train(HP, bad, tmp_path / "run")
        assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


def test_what_the_model_cannot_do_is_refused_in_one_line(digits, tmp_path, monkeypatch):
    "Chapter 36 tries numbers of labels, batch sizes, networks and data without a test."
    with pytest.raises(ValueError, match=r"take\(data\)"):
        build_labels(HP).fit(digits.train.images[:200], batch_size=100, verbose=0)
    train(recipe("post", g_hidden_size=2, batch_size=5_500, epochs=1), digits, tmp_path, verbose=False)
    with pytest.raises(RunError, match="has no classifier"):
        load_classifier(tmp_path)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(ValueError, match="--devices 1"):
        build_labels(HP)
