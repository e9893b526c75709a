"""Folds: every image is held out once, and each fold has its share of each class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.datasets import Dataset
from pipeline.sweeps import folds


@given(
    labels=st.lists(st.integers(0, 9), min_size=10, max_size=200),
    count=st.integers(2, 10),
    seed=st.integers(0, 2**31 - 1),
)
def test_folds_and_the_parts_of_a_class_in_them_differ_by_one_image_at_most(
    labels: list[int], count: int, seed: int
) -> None:
    array = np.array(labels, np.uint8)
    found = folds.fold_of(array, count, seed)
    for index in (None, *np.unique(array)):
        members = found if index is None else found[array == index]
        sizes = np.bincount(members, minlength=count + 1)[1:]
        assert sizes.sum() == len(members)
        assert sizes.max() - sizes.min() <= 1


def test_the_seed_alone_decides_who_is_in_which_fold(digits: Dataset) -> None:
    labels = digits.train_labels
    assert np.array_equal(folds.fold_of(labels, 5, 42), folds.fold_of(labels, 5, 42))
    assert not np.array_equal(folds.fold_of(labels, 5, 42), folds.fold_of(labels, 5, 43))


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_fold_is_tested_on_what_it_does_not_train_on(digits: Dataset, fold: int) -> None:
    part = folds.dataset(digits, 3, fold, 42)
    held_out = folds.fold_of(digits.train_labels, 3, 42) == fold
    assert np.array_equal(part.test_images, digits.train_images[held_out])
    assert np.array_equal(part.test_labels, digits.train_labels[held_out])
    assert np.array_equal(part.train_images, digits.train_images[~held_out])
    assert len(part.train_labels) + len(part.test_labels) == len(digits.train_labels)
