"""Where things lie, relative to the repository's root: the names that all else builds on."""

from pathlib import Path

TEMPORARY = "/.dvc/tmp/exps/"  # below it lie the copies of the repository that experiments run in

LOCK = Path("dvc.lock")
DVC_LOCK = Path(".dvc/tmp/lock")  # locked by a DVC process while it writes, dvc.lock say
ENVIRONMENT = Path("environment.json")
CHECKPOINTS = Path(".checkpoints")  # of trainings that have not ended; no out, and not in git
SWEEPS = Path(".sweeps")  # the trials of sweeps, ended or interrupted; likewise
CROSSVAL = Path("data/crossval")  # likewise: no stage holds it against code and data
SWEEP_FILE = Path("sweep.yaml")
PREPARED = Path("data/prepared")
FIGURES = Path("data/figures")
PREDICTIONS = Path("data/predictions")  # of classifiers, on the test images


def root() -> Path:
    """The repository's own root, also when called in the temporary copy of an experiment."""
    return Path(str(Path.cwd()).split(TEMPORARY, maxsplit=1)[0])


def model(stage: str) -> Path:
    """The model that a training writes: that of train_dense_ae is dense_ae.keras."""
    return Path("data/models") / f"{stage.removeprefix('train_')}.keras"


def structure(stage: str) -> Path:
    """The text table of the layers of that model."""
    return model(stage).with_suffix(".txt")


def history(stage: str) -> Path:
    """One CSV row an epoch."""
    return Path("data/history") / f"{stage}.csv"


def metrics(stage: str) -> Path:
    """The final figures of `stage`, as JSON."""
    return Path("data/metrics") / f"{stage}.json"
