"""How much the codes of an autoencoder say of the classes, to a linear classifier."""

import keras
from keras import layers

from pipeline import params
from pipeline.data.datasets import Dataset
from pipeline.training import objectives
from pipeline.training.fit import fit
from pipeline.training.predictions import Floats, Predict, predictor

MOST_CODES = 60_000  # at most so many training codes: MNIST's own number ...
MOST_BYTES = 256 * 2**20  # ... and at most so much: 21,000 of 3,136 numbers


def probe_accuracy(
    encode: Predict,
    test_codes: Floats,
    dataset: Dataset,
    section: params.TrainingParams,
    seed: int,
) -> float:
    """How well a linear classifier recognises the classes from the codes alone, on `test_codes`.

    The usual measure of a representation ("linear evaluation"): what a code keeps of the image
    but hides from a linear model does not count.
    """
    test = test_codes.reshape(len(test_codes), -1)
    count = min(MOST_CODES, MOST_BYTES // test[:1].nbytes)
    train = encode(dataset.train_images[:count]).reshape(-1, test.shape[1])
    classes = len(dataset.classes)
    probe = linear_probe(train.shape[1], classes)
    fit(
        probe,
        (train, dataset.train_labels[:count]),
        None,
        objective=objectives.classification(classes),
        section=section,
        seed=seed,
    )
    right = predictor(probe)(test).argmax(axis=1) == dataset.test_labels
    return float(right.mean())


def linear_probe(code_size: int, classes: int) -> keras.Model:
    """Softmax regression: codes, float32 (n, code_size), to class probabilities."""
    codes = keras.Input((code_size,), name="codes")
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(codes)
    return keras.Model(codes, outputs, name="probe")
