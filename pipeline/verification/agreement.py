"""Whether what lies here is what dvc.lock names."""

from pipeline.errors import LockError
from pipeline.outs import dvc_lock
from pipeline.outs.dvc_lock import Hashes


def check(expected: Hashes) -> None:
    """Make sure that each path has the md5 that dvc.lock names.

    Raises:
        LockError: one is missing, or is another.
    """
    found = dvc_lock.hashes(expected)
    for path, md5 in expected.items():
        if found[path] != md5:
            raise LockError(
                f"{path}: found md5 {found[path]}, expected {md5} as dvc.lock says; "
                "`dvc repro` or `dvc checkout` brings them together"
            )
