"""Codes in two dimensions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Plane:
    """Codes on the plane of their two first principal components.

    Attributes:
        points: (n, 2).
        share: (2,), each component's share of the codes' variance, 0..1.
    """

    points: Floats
    share: Floats


def principal_plane(codes: Floats) -> Plane:
    """Project `codes`, (n, ...), n at least 3, by principal component analysis.

    By subspace iteration on a few random directions (Halko et al. 2011, algorithm 4.4): an exact
    decomposition of codes as long as the convolutional ones takes 50 times as long.
    """
    flat = codes.reshape(len(codes), -1)
    flat = np.pad(flat - flat.mean(axis=0), ((0, 0), (0, max(2 - flat.shape[1], 0))))
    directions = np.random.default_rng(0).standard_normal((flat.shape[1], 10), np.float32)
    for _ in range(10):
        directions, _ = np.linalg.qr(flat.T @ (flat @ directions))
    left, singular, _ = np.linalg.svd(flat @ directions, full_matrices=False)
    points = left[:, :2] * singular[:2]
    # A component's sign is arbitrary: make its largest coordinate positive.
    extremes = points[np.abs(points).argmax(axis=0), [0, 1]]
    variance = max(np.square(flat).sum(), np.finfo(np.float32).tiny)  # codes may all be alike
    return Plane(points * np.where(extremes < 0, -1, 1), singular[:2] ** 2 / variance)
