"""Activity 2, the dense classifier, as a stage."""

from pipeline.activities import classifier
from pipeline.params import Params
from stages import _training


def main(params: Params) -> None:
    """Train, measure, write the model, its history and its metrics, and log the run."""
    _training.run("train_classifier", classifier.train, params, params.train_classifier.epochs)
