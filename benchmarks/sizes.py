"""How much is measured: the real thing, and a tiny one to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """What bounds a run.

    Attributes:
        repetitions: of the peak, the epochs and the commands of a second or two.
        whole_repetitions: of the whole pipeline, cold, and the scripts beside it.
        images: training images of the trainings and the whole pipeline; None: those of params.yaml.
        epochs: timed in each training, by model; one more comes before them.
        full_epochs: of the whole pipeline's trainings; None: those of params.yaml.
        tolerance: relative, by which losses of the same training may differ: first weights and
            order follow from other random numbers. By 2.3 % after 3 epochs of all images. After 39
            batches by 14 %, but by 66 % those of the convolutional autoencoder, which then fall
            fast: after 78 by 12 %.
        matrix: side of the matrices of the peak.
        streamed: training images, more than a chunk of them, that are read from a file.
        scale: numbers of training images.
        requests: to each server.
    """

    repetitions: int
    whole_repetitions: int
    images: int | None
    epochs: dict[str, int]
    full_epochs: int | None
    tolerance: float
    matrix: int
    streamed: int
    scale: tuple[int, ...]
    requests: int

    def epochs_of(self, model: str) -> int:
        """Those of `model`; two of one that is not listed."""
        return self.epochs.get(model, 2)


FULL = Sizes(
    repetitions=3,
    whole_repetitions=2,
    images=None,
    epochs={"classifier": 4, "dense_ae": 4, "conv_ae": 2},
    full_epochs=None,
    tolerance=0.05,
    matrix=1024,
    streamed=60_000,
    scale=(10_000, 60_000, 250_000, 1_000_000),
    requests=5_000,
)
QUICK = Sizes(
    repetitions=1,
    whole_repetitions=1,
    images=400,
    epochs={"classifier": 2, "dense_ae": 2, "conv_ae": 5},
    full_epochs=1,
    tolerance=0.3,
    matrix=256,
    streamed=400,
    scale=(400, 800),
    requests=100,
)
