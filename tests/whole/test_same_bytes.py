"""The same commit gives the same bytes, wherever, whenever and by whomever it is run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import layout, lock
from tests.whole.conftest import Repository

pytestmark = pytest.mark.slow

KERAS_HOME = {"floatx": "float64", "epsilon": 0.1, "image_data_format": "channels_first"}
VARIABLES = {
    "hash seed": {"PYTHONHASHSEED": "7"},
    "time zone": {"TZ": "Pacific/Kiritimati"},
    "locale": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"},
    "threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "TensorFlow threads": {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "2"},
    "instruction set": {"ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Nehalem"},
    "no oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "Keras limits": {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1"},
    "compiler": {"TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"},
    "Keras settings": {"KERAS_HOME": "keras"},
}


def rebuild(repository: Repository, folder: Path, *prefix: str, **variables: str) -> Path:
    """Clone `repository` to `folder` and run its five stages there, `prefix` before each."""
    folder.parent.mkdir(exist_ok=True)
    repository.run("git", "clone", "--quiet", ".", os.fspath(folder))
    for name in ("figures", "history", "metrics"):
        shutil.rmtree(folder / "data" / name)
    (folder / "keras").mkdir()
    (folder / "keras/keras.json").write_text(json.dumps(KERAS_HOME))
    subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)
    environment = repository.environment() | {"PIPELINE_TRACKING": "off"} | variables
    for stage in layout.STAGES:
        command = [*prefix, sys.executable, "-m", "stages", stage]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder


def assert_same(repository: Repository, rebuilt: Path) -> None:
    for stage in layout.STAGES:
        outs = lock.locked(stage, repository.path).outs
        assert lock.hashes(outs, rebuilt) == outs


def test_every_variation_at_once_changes_nothing(repository: Repository, tmp_path: Path) -> None:
    together = {key: value for set_ in VARIABLES.values() for key, value in set_.items()}
    one_core = ("taskset", "--cpu-list", "0") if shutil.which("taskset") else ()
    rebuilt = rebuild(repository, tmp_path / "a folder, elsewhere", *one_core, **together)
    assert_same(repository, rebuilt)


@pytest.mark.exhaustive
@pytest.mark.parametrize("variation", VARIABLES)
def test_no_variation_changes_anything(
    repository: Repository, tmp_path: Path, variation: str
) -> None:
    assert_same(repository, rebuild(repository, tmp_path / "clone", **VARIABLES[variation]))


@pytest.mark.exhaustive
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_changes_nothing(repository: Repository, tmp_path: Path) -> None:
    # Who owns nothing here still has to read this Python and the clone's way up to the root.
    reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reading)
    assert_same(repository, rebuild(repository, tmp_path / "clone", *nobody, HOME="/nonexistent"))
