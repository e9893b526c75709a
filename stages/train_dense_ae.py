"""Activity 3, the dense autoencoder, as a stage."""

from pipeline.activities import dense_ae
from pipeline.params import Params
from stages import _training


def main(params: Params) -> None:
    """Train, measure, write the model, its history and its metrics, and log the run."""
    _training.run("train_dense_ae", dense_ae.train, params, params.train_dense_ae.epochs)
