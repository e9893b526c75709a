"""Plain Keras, as a textbook has it: `model.fit` on float images, every other setting its own."""

import keras
from keras import layers

from benchmarks.peers import session

BATCH = 32


def model(name: str) -> keras.Sequential:
    """The model called `name`, compiled."""
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
    built = keras.Sequential(chain)
    if name == "classifier":
        built.compile(
            keras.optimizers.SGD(0.01), loss="categorical_crossentropy", metrics=["accuracy"]
        )
    else:
        built.compile(
            keras.optimizers.Adadelta(1.0, rho=0.95, epsilon=1e-7), loss="binary_crossentropy"
        )
    return built


def main() -> None:
    """Train and report."""
    options = session.arguments()
    pixels, labels = session.load(options.data)
    images = pixels.astype("float32") / 255
    images = images[..., None] if options.model == "conv_ae" else images.reshape(-1, 784)
    targets = keras.utils.to_categorical(labels, 10) if options.model == "classifier" else images

    trained = model(options.model)
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
    main()
