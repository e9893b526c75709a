"""Stratified folds of the training images: pure functions of labels, a number and a seed."""

import numpy as np
import numpy.typing as npt

from pipeline.data.datasets import Dataset, Labels


def fold_of(labels: Labels, count: int, seed: int) -> npt.NDArray[np.int64]:
    """(n,): which fold, from 1 to `count`, holds each image out.

    Each class is dealt out in a random order, the next class from where the last one ended: so
    both the folds, and the parts of a class in them, differ in size by one at most.
    """
    generator = np.random.default_rng(seed)
    dealt = np.concatenate(
        [generator.permutation(np.flatnonzero(labels == index)) for index in np.unique(labels)]
    )
    folds = np.empty(len(labels), np.int64)
    folds[dealt] = np.arange(len(labels)) % count + 1
    return folds


def dataset(whole: Dataset, count: int, fold: int, seed: int) -> Dataset:
    """The training images of `whole`: those that `fold` holds out to test on, the rest to train."""
    held_out = fold_of(whole.train_labels, count, seed) == fold
    return Dataset(
        whole.train_images[~held_out],
        whole.train_labels[~held_out],
        whole.train_images[held_out],
        whole.train_labels[held_out],
        whole.classes,
    )
