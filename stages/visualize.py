"""Activity 1, the ReLU neuron, and every figure of what the trainings made."""

import keras
import numpy as np

from pipeline import artifacts, datasets, evaluation, layout, model_archive, models, runtime
from pipeline.figures import classification, codes, curves, digits, neuron, style
from pipeline.figures.drawings import Drawings
from pipeline.params import Params
from pipeline.tracking.live import LiveRun

STAGE = "visualize"
EXAMPLES = 5  # images beside their codes


def main(params: Params) -> None:
    """Draw everything, then write it, and log the run."""
    section = params.visualize
    with (
        style.applied(usetex=section.usetex),
        LiveRun(STAGE) as run,
        Drawings() as drawings,
    ):
        weights = section.neuron_weights
        drawings.add("relu_neuron", neuron.relu_neuron, weights[:1])
        drawings.add("relu_neuron_weights", neuron.relu_neuron, weights)

        runtime.start_tensorflow(params.seed, params.runtime)
        dataset = datasets.load(layout.PREPARED)
        names = dataset.classes
        images, labels = dataset.train_images[:10], dataset.train_labels[:10]
        drawings.add("digits", digits.labelled, np.array(images), names[labels])
        test_images, test_labels = np.array(dataset.test_images), np.array(dataset.test_labels)

        histories = {
            stage: artifacts.read_history(layout.history(stage)) for stage in layout.TRAININGS
        }
        drawings.add(
            "training_curves",
            curves.training_curves,
            histories["train_classifier"],
            {"Dense": histories["train_dense_ae"], "Convolutional": histories["train_conv_ae"]},
            params.train_classifier.target_accuracy,
        )

        classify = evaluation.predictor(_model("train_classifier"))
        probabilities = classify(test_images)
        predicted = probabilities.argmax(axis=1)
        drawings.add(
            "confusion_matrix", classification.confusion_matrix, test_labels, predicted, names
        )
        drawings.add(
            "confident_mistakes",
            classification.confident_mistakes,
            test_images,
            test_labels,
            probabilities,
            names,
        )

        autoencoders = {
            name: [evaluation.predictor(part) for part in models.parts(_model(stage))]
            for name, stage in (("dense", "train_dense_ae"), ("convolutional", "train_conv_ae"))
        }

        images = test_images[:EXAMPLES]
        encode, decode = autoencoders["dense"]
        code = encode(images)
        drawings.add("dense_ae_codes", digits.dense_codes, images, code, decode(code))
        encode, decode = autoencoders["convolutional"]
        code = encode(images)
        drawings.add("conv_ae_codes", digits.conv_codes, images, code, decode(code))
        drawings.add("conv_ae_feature_maps", digits.feature_maps, images, code)

        # One test image of each class, of ten classes at most.
        chosen = np.unique(test_labels, return_index=True)[1][:10]
        images = test_images[chosen]
        reconstructions = {
            name: decode(encode(images)) for name, (encode, decode) in autoencoders.items()
        }
        errors = {
            name: evaluation.squared_errors(images, pixels)
            for name, pixels in reconstructions.items()
        }
        drawings.add(
            "comparison",
            digits.comparison,
            images,
            names[test_labels[chosen]],
            reconstructions,
            errors,
        )

        images = test_images[: section.map_images]
        planes = {
            name: evaluation.principal_plane(encode(images))
            for name, (encode, _) in autoencoders.items()
        }
        drawings.add("code_map", codes.code_map, planes, test_labels[: section.map_images], names)

        figures = drawings.finished()
        for name, figure in figures.items():
            artifacts.write_bytes(layout.FIGURES / f"{name}.png", figure)
        print(f"{len(figures)} figures in {layout.FIGURES}")
        run.complete()


def _model(stage: str) -> keras.Model:
    return model_archive.read(layout.model(stage))
