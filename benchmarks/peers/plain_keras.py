"""Plain Keras, as a textbook has it: `model.fit` on float images, every other setting its own."""

import argparse
from typing import Any

import keras
from keras import layers

from benchmarks.peers import session

BATCH = 32


def model(name: str) -> tuple[keras.Sequential, dict[str, Any]]:
    """The model called `name`, and what it is compiled with."""
    match name:
        case "classifier":
            chain = [
                keras.Input((784,)),
                layers.Dense(600, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        case "dense_ae":
            chain = [
                keras.Input((784,)),
                layers.Dense(100, activation="relu"),
                layers.Dense(784, activation="sigmoid"),
            ]
        case _:
            chain = [
                keras.Input((28, 28, 1)),
                layers.Conv2D(16, 3, activation="relu", padding="same"),
                layers.MaxPooling2D(2),
                layers.Conv2D(16, 3, activation="relu", padding="same"),
                layers.UpSampling2D(2),
                layers.Conv2D(1, 3, activation="sigmoid", padding="same"),
            ]
    settings: dict[str, Any] = {
        "optimizer": keras.optimizers.Adadelta(1.0, rho=0.95, epsilon=1e-7),
        "loss": "binary_crossentropy",
    }
    if name == "classifier":
        settings = {
            "optimizer": keras.optimizers.SGD(0.01),
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
        }
    return keras.Sequential(chain), settings


def train(
    options: argparse.Namespace, *, in_graph: bool = False, jit_compile: bool | str = "auto"
) -> None:
    """Train as `options` say, and report.

    Args:
        options: of `session.arguments`.
        in_graph: run all batches of an epoch in one call, by Keras's own `steps_per_execution`.
        jit_compile: of Keras's `compile`, whose default this is.
    """
    pixels, labels = session.load(options.data)
    images = pixels.astype("float32") / 255
    images = images[..., None] if options.model == "conv_ae" else images.reshape(-1, 784)
    targets = keras.utils.to_categorical(labels, 10) if options.model == "classifier" else images

    trained, settings = model(options.model)
    batches = -(-len(images) // BATCH)
    trained.compile(
        **settings, steps_per_execution=batches if in_graph else 1, jit_compile=jit_compile
    )
    clock = session.Clock()
    trained.fit(
        images,
        targets,
        batch_size=BATCH,
        epochs=options.epochs,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: clock.epoch(logs["loss"])  # noqa: ARG005
            )
        ],
        verbose=0,
    )
    clock.report(f"Keras {keras.__version__}", trained.count_params())


if __name__ == "__main__":
    train(session.arguments())
