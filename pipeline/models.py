"""The models of the activities: pure functions from a section of params to a `keras.Model`.

Every model takes raw images, uint8 (n, side, side), 0 to 255, and scales them to 0..1 itself: what
is served can't be preprocessed differently from what was trained. Every layer has a name, since
Keras otherwise numbers them by what the process built before.
"""

import keras
from keras import layers

from pipeline import params
from pipeline.errors import DataError

CODE = "code"


def classifier(section: params.Classifier, side: int, classes: int) -> keras.Model:
    """Activity 2: images to class probabilities, (n, classes), each row summing to 1."""
    images = keras.Input((side, side), dtype="uint8", name="images")
    flat = layers.Flatten(name="flatten")(_scaled(images))
    hidden = layers.Dense(section.hidden_units, activation="relu", name="hidden")(flat)
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(hidden)
    return keras.Model(images, outputs, name="classifier")


def dense_autoencoder(section: params.DenseAutoencoder, side: int) -> keras.Model:
    """Activity 3: images to reconstructions, (n, side, side), 0..1, through one dense code."""
    images = keras.Input((side, side), dtype="uint8", name="images")
    flat = layers.Flatten(name="flatten")(_scaled(images))
    code = layers.Dense(section.code_units, activation="relu", name=CODE)(flat)
    pixels = layers.Dense(side * side, activation="sigmoid", name="pixels")(code)
    return keras.Model(
        images, layers.Reshape((side, side), name="reconstruction")(pixels), name="dense_ae"
    )


def conv_autoencoder(section: params.ConvAutoencoder, side: int) -> keras.Model:
    """Activity 4: images to reconstructions, (n, side, side), 0..1, through feature maps.

    The code is the output of the second convolution, (n, side / 2, side / 2, filters).

    Raises:
        DataError: `side` is odd, so that pooling and upsampling would not give it back.
    """
    if side % 2:
        raise DataError(
            f"train_conv_ae: found images of {side} x {side} pixels, expected even sides, which "
            f"halve and double without loss; pad the images to {side + 1} x {side + 1}"
        )
    kernel = section.kernel_size
    images = keras.Input((side, side), dtype="uint8", name="images")
    x = layers.Reshape((side, side, 1), name="channel")(_scaled(images))
    x = layers.Conv2D(section.filters, kernel, activation="relu", padding="same", name="conv")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(section.filters, kernel, activation="relu", padding="same", name=CODE)(x)
    x = layers.UpSampling2D(2, name="upsample")(x)
    x = layers.Conv2D(1, kernel, activation="sigmoid", padding="same", name="pixels")(x)
    return keras.Model(
        images, layers.Reshape((side, side), name="reconstruction")(x), name="conv_ae"
    )


def parts(autoencoder: keras.Model) -> tuple[keras.Model, keras.Model]:
    """The encoder, from images to codes, and the decoder, from codes to reconstructions."""
    code = autoencoder.get_layer(CODE).output
    return (
        keras.Model(autoencoder.input, code, name="encoder"),
        keras.Model(code, autoencoder.output, name="decoder"),
    )


def linear_probe(code_size: int, classes: int) -> keras.Model:
    """Softmax regression: codes, float32 (n, code_size), to class probabilities."""
    codes = keras.Input((code_size,), name="codes")
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(codes)
    return keras.Model(codes, outputs, name="probe")


def _scaled(images: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Rescaling(1 / 255, name="scale")(images)
