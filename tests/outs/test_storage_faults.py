"""A disk that is full, read-only or not ours: one line, the earlier file, and no litter."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.errors import StorageError
from pipeline.outs import artifacts, model_archive
from stages import train_conv_ae
from tests.conftest import PARAMS
from tests.users import as_nobody

pytestmark = pytest.mark.usefixtures("tensorflow")

NUMBERS = np.random.default_rng(0).random(12_500)  # 100 kB
DISK = 2**20  # bytes of the file system that is filled
Write = Callable[[Path], None]


def _figure() -> Figure:
    figure = Figure(figsize=(8, 8))
    figure.subplots().imshow(NUMBERS.reshape(100, 125))
    return figure


def _write_zip(path: Path) -> None:
    with artifacts.atomic(path) as partial, partial.open("wb") as file:
        np.savez(file, NUMBERS)


WRITERS: dict[str, Write] = {
    "bytes": lambda path: artifacts.write_bytes(path, NUMBERS.tobytes()),
    "text": lambda path: artifacts.write_text(path, "Θ = 1 " * 20_000),
    "array": lambda path: artifacts.write_array(path, NUMBERS),
    "metrics": lambda path: artifacts.write_metrics(path, {str(x): x for x in NUMBERS.tolist()}),
    "history": lambda path: artifacts.write_history(path, [{"loss": x} for x in NUMBERS.tolist()]),
    "figure": lambda path: artifacts.write_figure(path, _figure()),
    "zip": _write_zip,
    "model": lambda path: model_archive.write(path, _model()),
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def _model() -> keras.Model:
    return train_conv_ae.build(PARAMS.section("train_conv_ae"), 28)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are for one."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def _file_size_limit(_: Path) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _write_protected(folder: Path) -> Iterator[None]:
    folder.chmod(0o555)
    try:
        with as_nobody():
            yield
    finally:
        folder.chmod(0o755)


def _full(room: int) -> Callable[[Path], AbstractContextManager[None]]:
    @contextmanager
    def fault(folder: Path) -> Iterator[None]:
        filler = folder / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - room)
        try:
            yield
        finally:
            filler.unlink()

    return fault


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", os.fspath(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", os.fspath(folder)], check=True)


Fault = Callable[[Path], AbstractContextManager[None]]
ANYWHERE: dict[str, Fault] = {
    "File too large": _file_size_limit,
    "Permission denied": _write_protected,
}
ON_A_DISK: dict[str, Fault] = {
    "No space left on device": _full(room=0),
    "No space left on device, but for a page": _full(room=4096),
    "No space left on device, but for half a model": _full(room=16 * 4096),
    "Read-only file system": _read_only,
}


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", os.fspath(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root, and not in every container, may mount a file system")
    yield folder
    subprocess.run(["umount", os.fspath(folder)], check=True)


def _assert_refused_in_one_line(
    folder: Path, fault: AbstractContextManager[None], reason: str, write: Write
) -> None:
    path = folder / "out.keras"
    path.write_text("earlier")
    with fault:
        before = sorted(folder.iterdir())
        with pytest.raises(StorageError) as caught:
            write(path)
        assert sorted(folder.iterdir()) == before
    assert str(caught.value) == (
        f"{path}: can't be written: {reason.split(',', maxsplit=1)[0]}; "
        "nothing was half-written, and a file that was there is as it was"
    )
    assert path.read_text() == "earlier"

    write(path)  # there is room again
    assert path.stat().st_size > 4096


@every_writer
@pytest.mark.parametrize("reason", ANYWHERE)
def test_a_file_that_may_not_be_written_is_told_and_leaves_the_earlier_one(
    folder: Path, reason: str, write: Write
) -> None:
    _assert_refused_in_one_line(folder, ANYWHERE[reason](folder), reason, write)


@every_writer
@pytest.mark.parametrize("reason", ON_A_DISK)
def test_a_full_or_read_only_disk_is_told_and_leaves_the_earlier_file(
    disk: Path, reason: str, write: Write
) -> None:
    _assert_refused_in_one_line(disk, ON_A_DISK[reason](disk), reason, write)


def test_a_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(StorageError, match=f"^{folder}/file/out: can't be written: .+"):
        artifacts.write_text(folder / "file" / "out", "text")
    with _write_protected(folder), pytest.raises(StorageError, match="Permission denied"):
        artifacts.write_text(folder / "new" / "out", "text")


def test_a_file_does_not_replace_a_folder(folder: Path) -> None:
    (folder / "out").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        artifacts.write_text(folder / "out", "text")
    assert list(folder.iterdir()) == [folder / "out"]


WRITING = """
import sys, time
from pathlib import Path
from pipeline.outs import artifacts

with artifacts.atomic(Path(sys.argv[1])) as partial:
    partial.write_text("half of the ne")
    print("in the middle", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_write_and_nothing_else(
    folder: Path,
) -> None:
    path = folder / "out"
    path.write_text("earlier")
    others = {folder / name for name in (".out.1.partial", ".other.999.partial", ".out.partial")}
    for other in others:  # of process 1, which runs; of another file; of no process
        other.touch()
    command = [sys.executable, "-c", WRITING, os.fspath(path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "in the middle\n"
        partial = folder / f".out.{process.pid}.partial"
        assert partial.read_text() == "half of the ne"
        assert path.read_text() == "earlier"

        artifacts.write_text(path, "new")
        assert partial.exists()  # the process may yet end its file
        process.kill()

    (folder / f".out.{process.pid}.partial.keras").touch()  # as `write_model` has one, too
    assert path.read_text() == "new\n"
    artifacts.write_text(path, "newest")
    assert set(folder.iterdir()) == {path, *others}
