"""The tracking store's address: `MLFLOW_TRACKING_URI`, else a file at the repository's root."""

import os
from pathlib import Path

# `dvc exp run --temp` and queued experiments run in copies of the repository below this folder.
TEMPORARY = "/.dvc/tmp/exps/"


def root() -> Path:
    """The repository's own root, also when called in the temporary copy of an experiment."""
    return Path(str(Path.cwd()).split(TEMPORARY, maxsplit=1)[0])


def tracking_uri() -> str:
    """Where runs are recorded."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def artifacts() -> str | None:
    """Where a new experiment keeps its files; a server of the user's own decides for itself."""
    return None if os.environ.get("MLFLOW_TRACKING_URI") else (root() / "mlartifacts").as_uri()
