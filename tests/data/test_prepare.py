"""The command itself, `python stages prepare`: one line for a bad file, and no out changed."""

import os
import pickle
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.data import test_hostile_forms, test_readers

ROOT = Path(__file__).parents[2]
IMAGES = np.arange(40, dtype=np.uint8).repeat(16).reshape(40, 4, 4)
LABELS = np.repeat(np.arange(4, dtype=np.uint8), 10)


class Repository:
    """A folder with params.yaml and images, in which `prepare` runs as DVC runs it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images = path / "images"

    def write(self, content: bytes) -> None:
        """Put `content` where the images are read."""
        self.images.unlink(missing_ok=True)
        self.images.write_bytes(content)

    def prepare(self, *prefix: str) -> "subprocess.CompletedProcess[str]":
        """Run the stage."""
        return subprocess.run(
            [*prefix, sys.executable, "-m", "stages", "prepare"],
            cwd=self.path,
            env=os.environ | {"PYTHONPATH": os.fspath(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def outs(self) -> dict[Path, bytes]:
        """Every file but the images, with its content."""
        files = [path for path in self.path.rglob("*") if path.is_file() and path != self.images]
        return {path: path.read_bytes() for path in files}


def _pickled(images: Any = IMAGES, labels: Any = LABELS) -> bytes:
    return pickle.dumps({"images": images, "labels": labels})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository after a `prepare` that went well."""
    repository = Repository(tmp_path_factory.mktemp("repository"))
    text = (ROOT / "params.yaml").read_text()
    text = text.replace("data/raw/mnist_test.pkl", "images").replace("data/raw/mnist.pkl", "images")
    (repository.path / "params.yaml").write_text(text)
    shutil.copy(ROOT / "dvc.yaml", repository.path)
    repository.write(_pickled())
    done = repository.prepare()
    assert (done.returncode, done.stderr) == (0, "")
    return repository


@pytest.fixture
def repository(prepared: Repository, tmp_path: Path) -> Repository:
    return Repository(Path(shutil.copytree(prepared.path, tmp_path / "repository")))


def _attack(repository: Repository) -> bytes:
    target = repository.path / "target"
    return pickle.dumps({"images": test_readers.ATTACKS["os.system"](str(target))})


def _with(value: float) -> bytes:
    images = IMAGES.astype("f4")
    images[3, 2, 1] = value
    return _pickled(images)


def _replaced(make: Callable[[Path], object]) -> Callable[[Repository], None]:
    def replace(repository: Repository) -> None:
        repository.images.unlink()
        make(repository.images)

    return replace


def _parquet_page(size: int) -> bytes:
    """One value of that many zeros, which pack to nothing."""
    columns = {"image": pa.array([bytes(size)], pa.binary()), "label": [5]}
    return test_hostile_forms.written(columns, compression="zstd", write_statistics=False)


def _endless_csv(path: Path) -> None:
    path.write_bytes(b"5,0")
    os.truncate(path, 10 * 2**30)  # zeros that take no room


BROKEN: dict[str, Callable[[Repository], bytes | None]] = {
    "code in a pickle": _attack,
    "cut short": lambda _: _pickled()[:-100],
    "empty": lambda _: b"",
    "text": lambda _: b"five, zero, four",
    "labels too few": lambda _: _pickled(labels=LABELS[1:]),
    "labels of several lines": lambda _: _pickled(labels=np.array(["a\nb"] * 40)),
    "NaN": lambda _: _with(np.nan),
    "infinity": lambda _: _with(np.inf),
    "beyond 255": lambda _: _with(256),
    "below 0": lambda _: _with(-1),
    "objects": lambda _: _pickled(np.array([{}] * 40)),
    "no images": lambda _: _pickled(IMAGES[:0], LABELS[:0]),
    "not square": lambda _: _pickled(IMAGES[:, :3]),
    "one class": lambda _: _pickled(labels=LABELS * 0),
    "10 GB claimed": lambda _: test_readers.CLAIMS["npz"],
    "1 GB packed": lambda _: test_readers.BOMBS["npz of 1 GB"][0],
    "10 GB packed": lambda _: test_readers.BOMBS["gzipped idx of 10 GB"][0],
    "a picture of 900 million pixels": lambda _: test_hostile_forms.claiming(30_000, 30_000),
    "CSV without an end": _replaced(_endless_csv),
    "missing": _replaced(lambda _: None),
    "folder": _replaced(Path.mkdir),
    "named pipe": _replaced(os.mkfifo),
    "device": _replaced(lambda path: path.symlink_to("/dev/zero")),
    "link to itself": _replaced(lambda path: path.symlink_to(path.name)),
}


@contextmanager
def _limit(kind: int, count: int) -> Iterator[None]:
    """What this process starts inside this has the limit, too."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def _assert_told_in_one_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("\n")
    assert done.stderr[:-1].isprintable()
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_bad_file_is_told_in_one_line_and_changes_no_out(
    repository: Repository, change: Callable[[Repository], bytes | None]
) -> None:
    before = repository.outs()
    content = change(repository)
    if content is not None:
        repository.write(content)
    with _limit(resource.RLIMIT_DATA, 2 * 2**30):  # NumPy's own threads take 1 of them
        told = _assert_told_in_one_line(repository.prepare())
    assert told.startswith("error: images: ")
    assert repository.outs() == before


def test_outs_that_cannot_be_written_are_told_in_one_line_and_stay(repository: Repository) -> None:
    before = repository.outs()
    repository.write(_pickled(np.concatenate([IMAGES, IMAGES]), np.concatenate([LABELS, LABELS])))
    with _limit(resource.RLIMIT_FSIZE, 100):
        told = _assert_told_in_one_line(repository.prepare())
    assert "data/prepared/train_images.npy: can't be written: File too large; nothing was" in told
    assert repository.outs() == before

    assert repository.prepare().returncode == 0
    assert repository.outs() != before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_folder_that_another_user_may_not_write_to_is_told_in_one_line(
    repository: Repository,
) -> None:
    before = repository.outs()
    # Who owns nothing here still has to read this Python and the folder's way up to the root.
    reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reading)
    told = _assert_told_in_one_line(repository.prepare(*nobody))
    assert "data/prepared/train_images.npy: can't be written: Permission denied; nothing" in told
    assert repository.outs() == before


def test_more_in_a_group_of_rows_than_there_is_room_for_is_told_with_the_way_out(
    repository: Repository,
) -> None:
    before = repository.outs()
    repository.write(_parquet_page(300 * 2**20))
    with _limit(resource.RLIMIT_DATA, 2 * 2**30):
        told = _assert_told_in_one_line(repository.prepare())
    assert "found more than 268435456 bytes in a page or a group of rows" in told
    assert told.endswith("write them with a smaller `row_group_size`\n")
    assert repository.outs() == before


def test_what_was_understood_is_said_before_what_was_found(repository: Repository) -> None:
    repository.write(_pickled(IMAGES / 255, np.eye(4)[LABELS]))
    done = repository.prepare()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "images: floats from 0 to 1 taken as k/255",
        "images: one-hot labels taken as the numbers from 0 to 3",
        "32 training and 8 test images of 4 x 4 pixels in 4 classes",
    ]
