"""What a run says of where it comes from."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline import params
from pipeline.outs.dvc_lock import StageState
from pipeline.tracking import provenance

ROOT = Path(__file__).parents[2]
STAGE = "train_dense_ae"


def test_a_run_is_named_after_params_that_are_not_committed_its_own_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / params.PARAMS, tmp_path)
    identity = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org")
    for command in (("init",), ("add", "."), (*identity, "commit", "--message", "params")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    document = params.read(tmp_path / params.PARAMS)
    chosen = {key: document[key] for key in ("seed", "runtime", "probe", STAGE)}
    state = StageState(STAGE, "python3 stages train_dense_ae", {}, chosen, {})
    assert provenance.run_name(state) == "dense_ae"
    chosen["probe"]["epochs"] = 3
    chosen[STAGE]["code_units"] = 12
    chosen[STAGE]["optimizer"]["adam"]["beta_1"] = 0.5  # of an optimizer that is not used
    assert provenance.run_name(state) == "code_units=12 probe.epochs=3 dense_ae"
    monkeypatch.setenv("DVC_EXP_NAME", "tamed-vara")
    assert provenance.run_name(state) == "tamed-vara dense_ae"
