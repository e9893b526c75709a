"""`make repro` has few processes, and none of them waits for another that has died."""

import re
import time
from pathlib import Path

import pytest

from tests.whole.processes import FIRST_WAY, MOST, Ended, Repro, kill
from tests.whole.repositories import Repository

pytestmark = pytest.mark.slow

KINDS = {
    "make repro": r"-m pipeline repro",
    "DVC": r"-m dvc .*repro --single-item train_conv_ae",
    "a stage": r" stages train_conv_ae",
    "a follower": r"-m pipeline.tracking.follow train_conv_ae",
}


def started(copy: Repository, way: str, printed: Path) -> Repro:
    """In a copy whose trainings are out of date."""
    copy.edit_params(lambda text: text.replace("seed: 42", "seed: 43"))
    return Repro(copy, way, printed)


@pytest.fixture
def ended(request: pytest.FixtureRequest, tmp_path: Path) -> Ended:
    """A run in the way that the test names; the first of all tests was in one of them."""
    if request.param == FIRST_WAY:
        first: Ended = request.getfixturevalue("first_repro")
        return first
    copy: Repository = request.getfixturevalue("copy")
    return started(copy, request.param, tmp_path / "printed").ended()


@pytest.mark.parametrize(
    "ended",
    [
        FIRST_WAY,
        pytest.param("no standard input", marks=pytest.mark.exhaustive),
        pytest.param("no standard streams", marks=pytest.mark.exhaustive),
    ],
    indirect=True,
)
def test_repro_ends_well_with_few_processes(ended: Ended) -> None:
    assert ended.code == 0, ended.printed
    assert 1 < ended.most <= MOST
    assert ended.repository.changed() == {}


@pytest.mark.exhaustive
@pytest.mark.parametrize("seconds", [0, 1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_whichever_process_is_killed_all_end_and_the_next_run_goes_on(
    copy: Repository, tmp_path: Path, kind: str, seconds: float
) -> None:
    repro = started(copy, "as it is", tmp_path / "printed")

    def found() -> list[int]:
        return [
            number
            for number, command in repro.processes().items()
            if re.search(KINDS[kind], command)
        ]

    repro.until(lambda: bool(found()) or repro.process.poll() is not None)
    time.sleep(seconds)
    for number in found():
        kill(number)
    repro.until(lambda: repro.process.poll() is not None)
    # One that goes on by itself, a stage whose DVC was killed, is waited for.
    printed = copy.python("-m", "pipeline", "repro")
    assert "up to date" in copy.dvc("status"), printed
    repro.until(lambda: not repro.processes())
