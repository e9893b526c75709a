"""The same trainings in fewer operations: models, losses and optimizers in another form.

Results agree to float rounding, and nothing else here knows of it: without this folder, trainings
are computed as they are written.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import keras
from keras import layers

from pipeline import params
from pipeline.training import objectives, optimizers
from pipeline.training.fast import lit_pixels, losses, sgd, subpixel
from pipeline.training.objectives import Objective

FUNCTIONS = {
    keras.losses.binary_crossentropy: losses.binary_crossentropy,
    keras.losses.categorical_crossentropy: losses.categorical_crossentropy,
    objectives.accuracy: losses.accuracy,
}


def model(plain: keras.Model, settings: params.Section | None = None) -> keras.Model:
    """A model equal to `plain`, variables shared, to train or run in its place.

    Args:
        plain: of any kind; other than a chain of Keras's own layers, it is left as it is.
        settings: of the optimizer that it is to be trained by, if it is.
    """
    chain = _chain(plain)
    if not chain:
        return plain
    faster = subpixel.fused(chain)
    if settings and sgd.is_plain(settings):
        faster = lit_pixels.lit(faster)
    if faster == chain:
        return plain
    (start,) = plain.inputs
    x = start
    for layer in faster:
        x = layer(x)
    return keras.Model(start, x, name=plain.name)


def objective(plain: Objective) -> Objective:
    """The same objective, by functions of fewer operations where there are some."""
    return replace(
        plain,
        loss=FUNCTIONS.get(plain.loss, plain.loss),
        metrics=tuple(FUNCTIONS.get(metric, metric) for metric in plain.metrics),
    )


def optimizer(settings: params.Section) -> keras.optimizers.Optimizer:
    """The optimizer that `settings` describe, and are named after."""
    return sgd.build(settings) if sgd.is_plain(settings) else optimizers.build(settings)


def _chain(plain: keras.Model) -> list[keras.Layer] | None:
    """The layers behind the input, if each takes what the one before it gives, and nothing else."""
    if not all(map(_is_known, plain.layers)):
        return None
    if isinstance(plain, keras.Sequential):
        return list(plain.layers)
    if plain.output is not plain.layers[-1].output:  # or a dictionary of it
        return None
    described = plain.get_config().get("layers", [])
    for before, layer in pairwise(described):
        if _sources(layer["inbound_nodes"]) != [before["name"]]:
            return None
    first, *rest = plain.layers
    return rest if isinstance(first, layers.InputLayer) else None


def _is_known(layer: keras.Layer) -> bool:
    """Whether `layer` does what its class says: no class made of it, no term added to the loss."""
    kerass_own = type(layer).__module__.startswith("keras.")
    return kerass_own and layer.activity_regularizer is None


def _sources(value: Any) -> list[str]:
    """The layers whose outputs a part of a config names."""
    if isinstance(value, list | tuple):
        return [name for item in value for name in _sources(item)]
    if isinstance(value, dict):
        if "keras_history" in value:
            return [value["keras_history"][0]]
        return [name for item in value.values() for name in _sources(item)]
    return []
