"""This pipeline: the function that the stages call, with the stages' pins and one thread."""

import math

from benchmarks.peers import session
from pipeline import layout, runtime
from pipeline.params import Training, load_params

HELD_OUT = 10_000  # images measured after each epoch under --held-out, as the stages do


def main() -> None:
    """Train and report."""
    options = session.arguments()
    params = load_params(layout.PARAMS)
    runtime.pin(params.runtime)
    with runtime.lean_import():
        import keras
        import numpy as np

        from benchmarks.arithmetic import multiply_adds
        from pipeline import lit_pixels, models, objectives, subpixel, training
    runtime.start_tensorflow(params.seed, params.runtime)

    images, labels = session.load(options.data)
    if math.isfinite(options.memory_budget):
        images = np.memmap(options.data / "images.idx", np.uint8, "r", 16, images.shape)
    objective = objectives.reconstruction()
    section: Training
    match options.model:
        case "classifier":
            section = params.train_classifier
            model = models.classifier(params.train_classifier, images.shape[1], 10)
            trained = lit_pixels.form(model)
            objective = objectives.classification(10)
        case "dense_ae":
            section = params.train_dense_ae
            model = trained = models.dense_autoencoder(params.train_dense_ae, images.shape[1])
        case _:
            section = params.train_conv_ae
            model = models.conv_autoencoder(params.train_conv_ae, images.shape[1])
            trained = subpixel.fused(model)

    clock = session.Clock()
    training.fit(
        trained,
        (images, labels),
        (images[:HELD_OUT], labels[:HELD_OUT]) if options.held_out else None,
        objective=objective,
        section=section.model_copy(update={"epochs": options.epochs}),
        seed=params.seed,
        memory_budget=options.memory_budget,
        on_epoch=[lambda row: clock.epoch(row["loss"])],
    )
    clock.report(
        f"Keras {keras.__version__}",
        model.count_params(),
        multiply_adds=multiply_adds(model),
    )


if __name__ == "__main__":
    main()
