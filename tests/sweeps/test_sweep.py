"""What a sweep keeps is lost by no mistake, and mixed with that of no other process."""

import shutil
from pathlib import Path

import pytest

from pipeline import params
from pipeline.commands import sweep as command
from pipeline.data import datasets
from pipeline.data.datasets import Dataset
from pipeline.errors import SweepError
from pipeline.outs import paths
from pipeline.sweeps import sweep_file
from pipeline.sweeps.sweep import Sweep
from pipeline.tracking import trials
from pipeline.tracking.trials import Trial

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sweep(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """The committed sweep, begun in a folder that becomes the working directory."""
    for name in ("dvc.yaml", params.PARAMS, paths.SWEEP_FILE):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("pipeline", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    datasets.save(digits, tmp_path / paths.PREPARED)
    monkeypatch.chdir(tmp_path)
    document = params.read(params.PARAMS)
    return Sweep(paths.SWEEP_FILE, sweep_file.load(paths.SWEEP_FILE, document), document)


@pytest.fixture
def finished(sweep: Sweep) -> list[Trial]:
    """All its trials, in its folder."""
    sweep.clear()
    for number, point in enumerate(sweep_file.grid(sweep.asked), 1):
        metrics = {sweep.asked.metric: 0.1}
        trials.write(sweep.folder, Trial(number, point, "finished", "", metrics, [], {}, 1.0))
    return trials.read(sweep.folder)


def test_a_finished_sweep_stays_as_it_is_where_there_is_no_cluster(
    sweep: Sweep, finished: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sweep.group.id
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:1")
    with pytest.raises(SweepError, match=r"^RAY_ADDRESS: found ray://127"):
        command.main(file=paths.SWEEP_FILE, resume=False, apply=False)
    assert trials.read(sweep.folder) == finished
    with sweep.alone(resume=True) as ended:
        assert ended == finished
        assert sweep.group.id == name


def test_begun_anew_a_finished_sweep_has_no_trials(sweep: Sweep, finished: list[Trial]) -> None:
    with sweep.alone(resume=False) as ended:
        assert ended == []
        assert trials.read(sweep.folder) == finished
        sweep.clear()
        assert trials.read(sweep.folder) == []


@pytest.mark.parametrize("resume", [False, True])
def test_one_process_at_a_time_runs_a_sweep(sweep: Sweep, resume: bool) -> None:
    sweep.clear()
    with sweep.alone(resume=False):
        second = sweep.alone(resume=resume)
        with pytest.raises(SweepError, match="found another process that runs this sweep"), second:
            pass
    with sweep.alone(resume=resume):
        pass


def test_where_there_is_nothing_to_resume_nothing_is_made(sweep: Sweep) -> None:
    with (
        pytest.raises(SweepError, match=r"found no sweep of sweep\.yaml"),
        sweep.alone(resume=True),
    ):
        pass
    assert not paths.SWEEPS.exists()
