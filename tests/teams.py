"""Ten updates of some recipes, alone or as one device of several: `python teams.py FILE.npz DEVICES RECIPE...`

DEVICES is what `--devices` is; TF_CONFIG names other machines. The file holds the mean losses after each update, the
weights, and what Keras's own `fit` says to it.
"""

import sys

import numpy as np

from learning_gan.run.devices import choose_strategy


def ten_updates(name, strategy, images, labels) -> dict[str, np.ndarray]:
    "Means of the losses so far after each update, and all weights."
    from learning_gan.core.backend import keras
    from learning_gan.parts.minibatches import Minibatches
    from learning_gan.parts.recipes import recipe
    from learning_gan.run.session import fit_minibatches
    from learning_gan.run.training import build_gan

    hp = recipe(name, epochs=1, batch_size=24, g_hidden_size=8, d_hidden_size=8)
    with strategy.scope():
        gan = build_gan(hp, 0)
    minibatches = Minibatches(images, hp, 0, labels if gan.classes else None)
    minibatches.per_epoch, losses = 10, []

    def note(batch, logs):
        losses.append([float(loss.result()) for loss in (gan.d_loss_tracker, gan.g_loss_tracker)])

    told = [keras.callbacks.LambdaCallback(on_train_batch_end=note)]
    fit_minibatches(gan, minibatches, callbacks=told, block_size=1)
    weights = np.concatenate([np.ravel(w.numpy()) for w in gan.weights])
    return {f"{name}_losses": np.array(losses), f"{name}_weights": weights}


def keras_fit(strategy, images) -> dict[str, np.ndarray]:
    "The loss of an epoch of Keras's own `fit`, or why it is refused."
    from learning_gan.parts.recipes import recipe
    from learning_gan.run.training import build_gan

    with strategy.scope():
        gan = build_gan(recipe("steady", g_hidden_size=8, d_hidden_size=8), 0)
    gan.jit_compile = False  # XLA draws another z
    try:
        history = gan.fit(images[:240], batch_size=24, epochs=2, shuffle=False, verbose=0).history
    except ValueError as error:
        return {"refused": np.array(str(error))}
    return {"fitted": np.array([history["d_loss"], history["g_loss"]])}


def main(out, devices, *names) -> None:
    strategy = choose_strategy(int(devices))
    from learning_gan.parts.data import load_mnist

    train = load_mnist("embedded").train
    found = keras_fit(strategy, train.images)
    for name in names:
        found |= ten_updates(name, strategy, train.images, train.labels)
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
