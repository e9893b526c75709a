"""The tracking store's address: `MLFLOW_TRACKING_URI`, else a file at the repository's root."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.outs import paths

SQLITE = "sqlite:///"
HOSTED = ("databricks", "uc")  # names of stores without a scheme; none is a folder's
DATABASES = ("postgresql", "mysql", "mssql")  # the others that MLflow keeps runs in


def tracking_uri() -> str:
    """Where runs are recorded.

    A SQLite file or a folder that is named relative to the repository is the same from everywhere:
    MLflow would look for it in the temporary copy of an experiment.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip().rstrip("/")
    file = database(uri or f"{SQLITE}mlflow.db")
    if file:
        return f"{SQLITE}{paths.root() / file}"
    folder = _folder(uri)
    return (paths.root() / folder).as_uri() if folder else uri


def _folder(uri: str) -> Path | None:
    """The folder of a store of plain files, if `uri` names one."""
    parsed = urlsplit(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.netloc + parsed.path))
    return None if parsed.scheme or uri.startswith(HOSTED) else Path(uri)


def database(uri: str) -> Path | None:
    """The file of a SQLite store; None for any other."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def artifacts(uri: str) -> str | None:
    """Where a new experiment keeps its files; None on a server, which has its own place.

    That is beside a SQLite store. A database without a server gets the folder of the default store,
    where MLflow's own choice would be the working directory: that of a temporary experiment.
    """
    if file := database(uri):
        return (file.resolve().parent / "mlartifacts").as_uri()
    if uri.startswith(DATABASES):
        return (paths.root() / "mlartifacts").as_uri()
    return None


def redacted(text: str) -> str:
    """`text` without the user and password of any address in it."""
    return re.sub(r"(?<=://)\S+@", "", text)  # a password may hold a / or an @ itself
