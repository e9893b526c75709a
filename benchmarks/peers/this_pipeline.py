"""This pipeline: the function that the stages call, with the stages' pins and one thread."""

import math

from benchmarks.peers import session
from pipeline.outs import paths, runtime
from pipeline.params import PARAMS, load_params
from pipeline.training.declaration import Task, trainings

HELD_OUT = 10_000  # images measured after each epoch under --held-out, as the stages do


def main() -> None:
    """Train and report; what a stage measures in the end is left out."""
    options = session.arguments()
    params = load_params(PARAMS)
    changes = {"cpu_isa": options.cpu_isa}
    if math.isfinite(options.memory_budget):
        changes["memory_budget"] = options.memory_budget
    settings = params.runtime.model_copy(update=changes)
    params = params.model_copy(update={"runtime": settings})
    runtime.pin(params.runtime)
    runtime.start_tensorflow(params.seed, params.runtime)

    import keras
    import numpy as np

    from benchmarks.arithmetic import multiply_adds
    from pipeline.data.datasets import Dataset

    images, labels = session.load(options.data)
    if math.isfinite(options.memory_budget):
        images = np.memmap(options.data / "images.idx", np.uint8, "r", 16, images.shape)
    held_out = HELD_OUT if options.held_out else 0
    dataset = Dataset(images, labels, images[:held_out], labels[:held_out], np.arange(10))

    (stage,) = [name for name in trainings() if paths.model(name).stem == options.model]
    section = params.section(stage).model_copy(update={"epochs": options.epochs})
    clock = session.Clock()
    built: list[keras.Model] = []

    def after_epoch(row: dict[str, float]) -> None:
        clock.epoch(row["loss"])
        if row["epoch"] == options.epochs:
            (model,) = built
            clock.report(
                f"Keras {keras.__version__}",
                model.count_params(),
                multiply_adds=multiply_adds(model),
            )
            raise SystemExit

    trainings()[stage].train(
        Task(section, params, dataset, on_model=built.append, on_epoch=[after_epoch])
    )


if __name__ == "__main__":
    main()
