"""Which files the images are read from, and what is to be made of them."""

from typing import Literal

from pipeline.params import Fraction, Section


class Sources(Section):
    """Where the images are. The same path twice: one file or folder holds both parts.

    Attributes:
        validation: what becomes of a validation part beside train and test: it is left out, joined
            to the images to train on, or tested on in place of the test part.
        test_fraction: of each class, held out where there is no test part.
        to_grey: weigh colours to a grey; else images in colour are refused.
        transpose: swap rows and columns.
    """

    train_images: str
    train_labels: str
    test_images: str
    test_labels: str
    validation: Literal["leave_out", "train", "test"]
    test_fraction: Fraction
    to_grey: bool
    transpose: bool
