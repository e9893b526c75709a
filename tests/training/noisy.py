"""A model whose layers do other things in training than after it, and keep a state of their own."""

import keras
from keras import layers


def build(side: int) -> keras.Model:
    """An autoencoder with noise, batch normalization and dropout."""
    return keras.Sequential(
        [
            keras.Input((side, side), dtype="uint8", name="images"),
            layers.Rescaling(1 / 255, name="scale"),
            layers.GaussianNoise(0.2, name="noise"),
            layers.Flatten(name="flatten"),
            layers.Dense(32, name="code"),
            layers.BatchNormalization(name="normalization"),
            layers.Dropout(0.3, name="dropout"),
            layers.Dense(side * side, activation="sigmoid", name="pixels"),
            layers.Reshape((side, side), name="reconstruction"),
        ],
        name="noisy",
    )
