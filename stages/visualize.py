"""Draw a ReLU neuron for several weights, and every figure of what the trainings made."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.outs import artifacts, paths
from pipeline.params import PipelineParams, Section
from pipeline.training.declaration import trainings

if TYPE_CHECKING:
    from pipeline.data.datasets import Dataset
    from pipeline.figures.pool import FigurePool

ARTIFACTS = (paths.FIGURES,)  # what its MLflow run keeps
EXAMPLES = 5  # images beside their codes


class Params(Section):
    """The section of params.yaml that is named after this stage."""

    usetex: bool
    neuron_weights: Annotated[list[float], Field(min_length=1, max_length=4)]
    map_images: Annotated[int, Field(ge=3)]


def main(params: PipelineParams, section: Params) -> None:
    """Draw everything, then write it, and log the run."""
    from pipeline.figures import digits, neuron, style
    from pipeline.figures.pool import FigurePool
    from pipeline.outs import runtime
    from pipeline.tracking.live import LiveRun

    with style.applied(usetex=section.usetex), LiveRun("visualize") as run, FigurePool() as pool:
        weights = section.neuron_weights
        pool.draw("relu_neuron", neuron.relu_neuron, weights[:1])
        pool.draw("relu_neuron_weights", neuron.relu_neuron, weights)

        runtime.start_tensorflow(params.seed, params.runtime)

        import numpy as np

        from pipeline.data import datasets

        mapped = datasets.load(paths.PREPARED)
        images, labels = np.array(mapped.train_images[:10]), mapped.train_labels[:10]
        pool.draw("digits", digits.labelled, images, mapped.classes[labels])
        dataset = replace(
            mapped,
            test_images=np.array(mapped.test_images),
            test_labels=np.array(mapped.test_labels),
        )
        _draw_curves(pool, params)
        _draw_classifiers(pool, dataset)
        _draw_autoencoders(pool, dataset, section.map_images)

        figures = pool.finished()
        for name, figure in figures.items():
            artifacts.write_bytes(paths.FIGURES / f"{name}.png", figure)
        print(f"{len(figures)} figures in {paths.FIGURES}")
        run.complete()


def _draw_curves(pool: "FigurePool", params: PipelineParams) -> None:
    """Two panels of a classifier, accuracy and loss; one of any other model."""
    from pipeline.figures.curves import Panel, training_curves

    panels = []
    for stage, training in trainings().items():
        history = artifacts.read_history(paths.history(stage))
        if training.output == "classes":
            target = getattr(params.section(stage), "target_accuracy", None)
            panels.append(Panel(training.title, "accuracy", history, target))
            panels.append(Panel(training.title, "cross-entropy", history))
        else:
            panels.append(Panel(training.title, "binary cross-entropy", history))
    pool.draw("training_curves", training_curves, panels)


def _draw_classifiers(pool: "FigurePool", dataset: "Dataset") -> None:
    """What each classifier gets wrong; of several, each figure is named after its model too."""
    from pipeline.figures import classification
    from pipeline.outs import model_archive
    from pipeline.training.predictions import predictor

    classifiers = {stage: one for stage, one in trainings().items() if one.output == "classes"}
    for stage, training in classifiers.items():
        suffix = f"_{paths.model(stage).stem}" if len(classifiers) > 1 else ""
        probabilities = predictor(model_archive.read(paths.model(stage)))(dataset.test_images)
        pool.draw(
            f"confusion_matrix{suffix}",
            classification.confusion_matrix,
            *(training.title, dataset.test_labels, probabilities.argmax(axis=1), dataset.classes),
        )
        pool.draw(
            f"confident_mistakes{suffix}",
            classification.confident_mistakes,
            *(training.title, dataset.test_images, dataset.test_labels, probabilities),
            dataset.classes,
        )


def _draw_autoencoders(pool: "FigurePool", dataset: "Dataset", map_images: int) -> None:
    """What each autoencoder makes of images, by itself and beside the others."""
    import numpy as np

    from pipeline.figures import codes, digits
    from pipeline.figures.plane import principal_plane
    from pipeline.outs import model_archive
    from pipeline.training.evaluation import squared_errors
    from pipeline.training.predictions import parts, predictor

    examples, mapped = dataset.test_images[:EXAMPLES], dataset.test_images[:map_images]
    # One test image of each class, of ten classes at most.
    chosen = np.unique(dataset.test_labels, return_index=True)[1][:10]
    originals, names = dataset.test_images[chosen], dataset.classes[dataset.test_labels[chosen]]
    reconstructions, errors, planes = {}, {}, {}
    for stage, training in trainings().items():
        if not training.code:
            continue
        model = model_archive.read(paths.model(stage))
        encode, decode = map(predictor, parts(model, training.code))
        code, name = encode(examples), paths.model(stage).stem
        pool.draw(f"{name}_codes", digits.codes, training.title, examples, code, decode(code))
        if digits.has_maps(code):
            pool.draw(f"{name}_feature_maps", digits.feature_maps, training.title, examples, code)
        pixels = decode(encode(originals))
        reconstructions[training.label] = pixels
        errors[training.label] = squared_errors(originals, pixels)
        planes[training.title] = principal_plane(encode(mapped))
    if planes:
        pool.draw("comparison", digits.comparison, originals, names, reconstructions, errors)
        labels = dataset.test_labels[:map_images]
        pool.draw("code_map", codes.code_map, planes, labels, dataset.classes)
