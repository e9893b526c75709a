"""Each trial has one run, whatever the store does meanwhile."""

import shutil
from pathlib import Path

import pytest
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.outs.dvc_lock import StageState
from pipeline.params import PARAMS
from pipeline.sweeps.recorder import Recorder
from pipeline.tracking.provenance import LOCK_ENTRY
from pipeline.tracking.store import Store
from pipeline.tracking.trial_runs import Group, Summary
from pipeline.tracking.trials import Trial

ROOT = Path(__file__).parents[2]
STATE = StageState("train_dense_ae", "train", {}, {"train_dense_ae": {"code_units": 100}}, {})
CHOSEN = {"train_dense_ae.code_units": 8}
TRIAL = Trial(1, CHOSEN, "finished", "", {"test_bce": 0.1}, [], {}, seconds=1.0)
SUMMARY = Summary({"test_bce": 0.1}, "test_bce 0.1 in trial 1", [{"trial": 1}], complete=True)


@pytest.fixture
def project(tmp_path: Path, new_repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in git with params.yaml; the working directory."""
    shutil.copytree(new_repository, tmp_path, dirs_exist_ok=True)
    for name in ("dvc.yaml", PARAMS):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.mark.parametrize("file", [None, PARAMS], ids=["a trial's run", "the run of the whole"])
def test_a_run_that_is_half_made_when_the_store_fails_is_made_once_and_whole(
    project: Path, file: Path | None, capsys: pytest.CaptureFixture[str]
) -> None:
    place = project / "mlartifacts"
    place.write_text("no folder: files of runs can't be kept")
    group = Group("sweep", "sweep-1", STATE, {"trials": 1}, file, "python -m pipeline sweep")
    recorder = Recorder(group)
    recorder.add(TRIAL)
    recorder.ended.put(None)
    recorder.thread.join()
    assert recorder.fault

    place.unlink()
    recorder.complete([TRIAL], SUMMARY, "")
    assert capsys.readouterr().err == ""
    store = Store(make=False)
    made = list(store.search("tags.`sweep.id` = 'sweep-1'"))
    below = [run for run in made if MLFLOW_PARENT_RUN_ID in run.data.tags]
    (whole,) = (run for run in made if run not in below)
    assert [run.data.tags["sweep.trial"] for run in below] == ["1"]
    assert {run.info.status for run in made} == {"FINISHED"}
    assert whole.data.params == {"trials": "1"}
    kept = {item.path for run in made for item in store.client.list_artifacts(run.info.run_id)}
    assert kept == {LOCK_ENTRY, "trials.json", *([str(file)] if file else [])}
