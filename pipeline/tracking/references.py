"""Files that MLflow has a pointer to, in the form of a .dvc file; DVC has them themselves."""

import io
import shutil
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import stage_files
from pipeline.errors import LockError
from pipeline.outs import dvc_lock

SUFFIX = ".dvc"  # behind the name of the file that is pointed to


def pointer(path: Path, name: str) -> str:
    """A .dvc file that calls `path`, a file or a folder in the working tree, by `name`."""
    (md5,) = dvc_lock.hashes([str(path)]).values()
    text = io.StringIO()
    YAML(typ="rt").dump({"outs": [{"md5": md5, "hash": "md5", "path": name}]}, text)
    return text.getvalue()


def fetch_all(folder: Path) -> None:
    """Put the file beside each pointer in `folder`, at any depth, that it points to.

    Raises:
        LockError: neither DVC's cache nor its remote has one.
    """
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        (out,) = stage_files.document(path)["outs"]
        shutil.copyfile(cached(out["md5"], out["path"]), path.with_suffix(""))


def cached(md5: str, name: str) -> Path:
    """The file with this md5 in DVC's cache, pulled from the remote if it is not there yet.

    `name` is for messages.

    Raises:
        LockError: neither has it.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    with Repo() as repo:
        cache = repo.cache.local
        if not cache.exists(md5):
            try:
                repo.cloud.pull([HashInfo("md5", md5)])
            except DvcException as error:  # no remote, or none that answers
                reason = " ".join(str(error).split())
                raise LockError(f"{name}: md5 {md5} is not in DVC's cache: {reason}") from None
        if not cache.exists(md5):
            raise LockError(
                f"{name}: found md5 {md5} neither in DVC's cache nor in its remote, expected it in "
                "one; `dvc push`, where the model was trained, puts it into the remote"
            )
        return Path(cache.oid_to_path(md5))
