"""The mistakes a user can make, each reported in one line: what was found, and what to do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

MAX_LINE = 2000  # characters of a text that may quote a file


class UserError(Exception):
    """A mistake the user can mend; its text says what was found, where, and what is expected."""


class ParamsError(UserError):
    """params.yaml, or a sweep file, holds a key or a value that no stage can work with."""


class FileError(UserError):
    """Is about a file: one printable line, whatever its name and content put into the text."""

    def __init__(self, text: str) -> None:
        line = " ".join(part.strip() for part in text.splitlines())
        if len(line) > MAX_LINE:
            line = f"{line[: MAX_LINE // 2]} ... {line[-MAX_LINE // 2 :]}"
        super().__init__(
            "".join(
                character if character.isprintable() else ascii(character)[1:-1]
                for character in line
            )
        )


class DataError(FileError):
    """A file can't be read, or what it holds is not what belongs there."""


class StorageError(FileError):
    """A file can't be written: no space, no permission, a limit, a fault of the disk."""


class TrainingError(UserError):
    """A training went where no result can come from."""


class SweepError(UserError):
    """Trainings can't be spread over cores and machines, or none of them came to a result."""


class LockError(UserError):
    """dvc.lock, dvc.yaml and the working tree do not fit together."""


class TrackingError(UserError):
    """The MLflow store can't be reached, or refuses what it is asked."""


class PromotionError(UserError):
    """A model does not become champion, or there is none to serve."""


class StageFailed(UserError):  # noqa: N818 - it names what happened, as the line that reports it does
    """A stage, run by a process of its own, ended with an error that it has reported itself."""


class RepositoryError(UserError):
    """There is no git repository here, with which DVC works."""


class MachineError(UserError):
    """This machine lacks something that the params ask for."""


@contextmanager
def reported() -> Iterator[None]:
    """End the process with one line and exit status 1 on a `UserError`; no traceback."""
    try:
        yield
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
