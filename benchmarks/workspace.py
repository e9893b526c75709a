"""A clean clone to run the pipeline in, with other images or fewer epochs."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.params import PARAMS
from pipeline.training.declaration import trainings
from pipeline.verification.rebuild import clone


@contextmanager
def workspace() -> Iterator[Path]:
    """Clone HEAD to a folder that is removed afterwards; this interpreter's packages are its own.

    Raises:
        RepositoryError: this is no git repository.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = clone(Path(folder) / "clone")
        (root / ".venv").symlink_to(sys.prefix)
        yield root


def change_params(root: Path, *, images: Path | None = None, epochs: int | None = None) -> None:
    """Have the clone at `root` train on the IDX files in the folder `images`, for `epochs`."""
    yaml = YAML()
    params = yaml.load(root / PARAMS)
    if images:
        params["prepare"]["train_images"] = str(images / "images.idx")
        params["prepare"]["train_labels"] = str(images / "labels.idx")
    if epochs:
        for section in (*trainings(), "probe"):
            params[section]["epochs"] = epochs
    yaml.dump(params, root / PARAMS)


def remove(path: Path) -> None:
    """Remove a file or a folder, there or not."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
