"""Which files the images are read from."""

from pipeline.params import Fraction, Section


class Sources(Section):
    """Where the images are. The same path twice: one file holds both parts."""

    train_images: str
    train_labels: str
    test_images: str
    test_labels: str
    test_fraction: Fraction
    transpose: bool
