"""The form in which a training is computed: a faster one where there is one, else as written."""

import keras

from pipeline import params
from pipeline.training import optimizers
from pipeline.training.objectives import Objective

try:
    from pipeline.training.fast import model, objective, optimizer
except ModuleNotFoundError as error:
    if error.name != "pipeline.training.fast":
        raise
    # Deleted: the same functions in more operations.

    def model(plain: keras.Model, settings: params.Section | None = None) -> keras.Model:  # noqa: ARG001, D103
        return plain

    def objective(plain: Objective) -> Objective:  # noqa: D103
        return plain

    def optimizer(settings: params.Section) -> keras.optimizers.Optimizer:  # noqa: D103
        return optimizers.build(settings)


__all__ = ["model", "objective", "optimizer"]
