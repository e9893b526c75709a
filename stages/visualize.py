"""Draw a ReLU neuron for several weights, and every figure of what the trainings made."""

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.outs import artifacts, dvc_lock, paths
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
    from pipeline.figures import style
    from pipeline.figures.pool import FigurePool
    from pipeline.tracking.live import LiveRun

    with style.applied(usetex=section.usetex), LiveRun("visualize") as run:
        with dvc_lock.held(dvc_lock.current("visualize")), FigurePool() as pool:
            _draw(pool, params, section)
        run.complete()


def _draw(pool: "FigurePool", params: PipelineParams, section: Params) -> None:
    """Draw what needs no model while TensorFlow starts, then the rest; write it."""
    from pipeline.data import datasets
    from pipeline.figures import digits, neuron
    from pipeline.outs import runtime

    weights = section.neuron_weights
    pool.draw("relu_neuron", neuron.relu_neuron, weights[:1])
    pool.draw("relu_neuron_weights", neuron.relu_neuron, weights)

    runtime.start_tensorflow(params.seed, params.runtime)

    import numpy as np

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


def _draw_curves(pool: "FigurePool", params: PipelineParams) -> None:
    """The curves of each training, and of all of them together."""
    from pipeline.figures.curves import panels, training_curves

    everything = []
    for stage, training in trainings().items():
        target = getattr(params.section(stage), "target_accuracy", None)
        history = artifacts.read_history(paths.history(stage))
        own = panels(training.title, training.output, history, target)
        pool.draw(f"{paths.model(stage).stem}/training_curve", training_curves, own)
        everything += own
    pool.draw("training_curves", training_curves, everything)


def _draw_classifiers(pool: "FigurePool", dataset: "Dataset") -> None:
    """What each classifier gets wrong; and its answers, for `dvc plots diff`."""
    from pipeline.figures import classification
    from pipeline.outs import model_archive
    from pipeline.training.predictions import predictor

    for stage, training in trainings().items():
        if training.output != "classes":
            continue
        name = paths.model(stage).stem
        probabilities = predictor(model_archive.read(paths.model(stage)))(dataset.test_images)
        answers = probabilities.argmax(axis=1)
        pool.draw(
            f"{name}/confusion_matrix",
            classification.confusion_matrix,
            *(training.title, dataset.test_labels, answers, dataset.classes),
        )
        pool.draw(
            f"{name}/confident_mistakes",
            classification.confident_mistakes,
            *(training.title, dataset.test_images, dataset.test_labels, probabilities),
            dataset.classes,
        )
        actual, predicted = dataset.classes[dataset.test_labels], dataset.classes[answers]
        text = io.StringIO()
        rows = [("actual", "predicted"), *zip(actual, predicted, strict=True)]
        csv.writer(text, lineterminator="\n").writerows(rows)
        artifacts.write_text(paths.PREDICTIONS / f"{name}.csv", text.getvalue())


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
        pool.draw(f"{name}/codes", digits.codes, training.title, examples, code, decode(code))
        if digits.has_maps(code):
            pool.draw(f"{name}/feature_maps", digits.feature_maps, training.title, examples, code)
        pixels = decode(encode(originals))
        reconstructions[training.label] = pixels
        errors[training.label] = squared_errors(originals, pixels)
        planes[training.title] = principal_plane(encode(mapped))
    if planes:
        pool.draw("comparison", digits.comparison, originals, names, reconstructions, errors)
        labels = dataset.test_labels[:map_images]
        pool.draw("code_map", codes.code_map, planes, labels, dataset.classes)
