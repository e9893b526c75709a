"""Activity 4, the convolutional autoencoder, as a stage."""

from pipeline.activities import conv_ae
from pipeline.params import Params
from stages import _training


def main(params: Params) -> None:
    """Train, measure, write the model, its history and its metrics, and log the run."""
    _training.run("train_conv_ae", conv_ae.train, params, params.train_conv_ae.epochs)
