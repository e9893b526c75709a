"""The same commit gives the same bytes, wherever, whenever and by whomever it is run."""

import json
import os
import pickle
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from pipeline.data.files import readers
from pipeline.outs import dvc_lock, environment
from pipeline.sweeps import params_text
from pipeline.verification.difference import largest_difference
from tests.whole.repositories import (
    KINDS,
    SMALL_PARAMS,
    STAGES,
    TRAININGS,
    Repository,
    copied,
    with_epochs,
)

pytestmark = pytest.mark.slow

CORES = len(os.sched_getaffinity(0))
# QEMU's names, of two makers; Haswell has AVX2 and nothing newer. Its RSQRTPS and RCPPS give other
# bits than any real CPU's, so whatever leans on them shows, wherever this runs.
EMULATED = ("Haswell", "Skylake-Client", "EPYC")
OTHER_OPTIMIZERS = {
    "train_classifier.optimizer.sgd.momentum": 0.9,
    "train_classifier.optimizer.sgd.nesterov": True,
    "train_dense_ae.optimizer.name": "adam",
    "probe.optimizer.name": "sgd",
    "probe.optimizer.sgd.momentum": 0.9,
}
emulation = pytest.mark.skipif(
    not shutil.which("qemu-x86_64") or platform.machine() != "x86_64",
    reason="needs Debian's qemu-user, on x86-64",
)
# Run in place of `python -m stages`: what only Linux has is gone, and an old CPU is reported.
WITHOUT_LINUX = """
import ctypes, os, socket, sys
from pathlib import Path

for name in ("sched_getaffinity", "sched_setaffinity", "pidfd_open", "memfd_create", "eventfd"):
    delattr(os, name)
del socket.SOCK_SEQPACKET

from pipeline.outs import machine

machine.CPUINFO = Path("none")
library = ctypes.CDLL
ctypes.CDLL = lambda name, *rest, **more: object() if name is None else library(name, *rest, **more)

from stages.__main__ import main

main(sys.argv[1:])
"""
WITHOUT_AVX2 = """
import sys
from pathlib import Path

from pipeline.outs import machine

machine.CPUINFO = Path("cpuinfo")
machine.CPUINFO.write_text("flags : fpu sse4_2 avx")

from stages.__main__ import main

main(sys.argv[1:])
"""
AVX_ALONE = ("IvyBridge", "Opteron_G4")  # QEMU's names, of two makers
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


def rebuild(
    repository: Repository,
    folder: Path,
    *prefix: str,
    stages: Sequence[str] = (),
    program: Sequence[str] = ("-m", "stages"),
    **variables: str,
) -> Path:
    """Clone `repository` to `folder` and run its stages there, `prefix` before each.

    `stages` are the trainings to run; by default it is the whole pipeline. `program` runs a stage.
    """
    folder.parent.mkdir(exist_ok=True)
    repository.run("git", "clone", "--quiet", ".", os.fspath(folder))
    for name in ("figures", "history", "metrics"):
        shutil.rmtree(folder / "data" / name)
    _set_keras(folder / "keras")
    subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)
    environment = repository.environment() | {"PIPELINE_TRACKING": "off"} | variables

    def run(stage: str) -> None:
        command = [*prefix, sys.executable, *program, stage]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)

    run("prepare")
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(run, stages or reversed(TRAININGS)))  # the longest first
    if not stages:
        run("visualize")
    return folder


def _set_keras(folder: Path) -> None:
    folder.mkdir()
    (folder / "keras.json").write_text(json.dumps(KERAS_HOME))


def assert_same(repository: Repository, rebuilt: Path, stages: Sequence[str] = STAGES) -> None:
    for stage in stages:
        outs = dvc_lock.locked(stage, repository.path).outs
        assert dvc_lock.hashes(outs, rebuilt) == outs


def test_make_verify_finds_the_same_bytes_with_every_variation_at_once(
    repository: Repository, tmp_path: Path
) -> None:
    elsewhere = copied(repository, tmp_path / "a folder, elsewhere")
    together = {key: value for set_ in VARIABLES.values() for key, value in set_.items()}
    _set_keras(tmp_path / "keras")
    together["KERAS_HOME"] = os.fspath(tmp_path / "keras")
    one_core = ("taskset", "--cpu-list", "0") if shutil.which("taskset") else ()
    printed = elsewhere.run(*one_core, "make", "verify", code=0, **together)
    assert f"identical: {elsewhere.outs(*STAGES)} outs, this rebuild and dvc.lock" in printed


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


@pytest.mark.exhaustive
def test_without_what_only_linux_has_the_bytes_are_the_same(
    repository: Repository, tmp_path: Path
) -> None:
    program = ("-c", WITHOUT_LINUX)
    assert_same(repository, rebuild(repository, tmp_path / "clone", program=program))


@pytest.fixture(scope="module")
def tiny(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The repository with 160 training images and an epoch a model, run natively.

    Emulated, it takes 3 minutes; the larger one takes 6.
    """
    tiny = copied(repository, tmp_path_factory.mktemp("tiny") / "native")
    file = tiny.path / "data/raw/mnist.pkl"
    file.write_bytes(
        pickle.dumps({kind: readers.read(file, kind, "train")[:160] for kind in KINDS})
    )
    tiny.edit_params(partial(with_epochs, epochs_of=dict.fromkeys(SMALL_PARAMS, 1)))
    return remade(tiny)


def remade(repository: Repository, *stages: str) -> Repository:
    """Run what has changed, and commit what came of it."""
    repository.dvc("repro", *stages)
    repository.run("git", "commit", "--quiet", "--all", "--message", "other results")
    return repository


@pytest.mark.exhaustive
@emulation
@pytest.mark.parametrize("cpu", EMULATED)
def test_another_cpu_changes_nothing(tiny: Repository, tmp_path: Path, cpu: str) -> None:
    assert_same(tiny, rebuild(tiny, tmp_path / "clone", "qemu-x86_64", "-cpu", cpu))


@pytest.mark.exhaustive
@emulation
def test_another_cpu_changes_nothing_with_any_optimizer(tiny: Repository, tmp_path: Path) -> None:
    """The pipeline itself trains by plain SGD and Adadelta, and its probe by Adam."""
    native = copied(tiny, tmp_path / "native")
    native.edit_params(partial(params_text.changed, point=OTHER_OPTIMIZERS))
    stages = ["train_classifier", "train_dense_ae"]
    remade(native, *stages)
    emulated = rebuild(native, tmp_path / "emulated", "qemu-x86_64", "-cpu", "EPYC", stages=stages)
    assert_same(native, emulated, stages)


@pytest.fixture(scope="module")
def without_avx2(tiny: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier trained natively, as for a CPU that has no AVX2."""
    folder = tmp_path_factory.mktemp("avx") / "native"
    return rebuild(tiny, folder, stages=["train_classifier"], program=("-c", WITHOUT_AVX2))


@pytest.mark.exhaustive
@emulation
@pytest.mark.parametrize("cpu", AVX_ALONE)
def test_cpus_without_avx2_give_the_same_bytes_as_each_other_and_others_than_the_rest(
    tiny: Repository, without_avx2: Path, tmp_path: Path, cpu: str
) -> None:
    emulated = rebuild(
        *(tiny, tmp_path / "emulated", "qemu-x86_64", "-cpu", cpu),
        stages=["train_classifier"],
        program=("-c", WITHOUT_AVX2),
    )
    locked = dvc_lock.locked("train_classifier", tiny.path).outs
    assert dvc_lock.hashes(locked, emulated) == dvc_lock.hashes(locked, without_avx2)
    model = "data/models/classifier.keras"
    assert dvc_lock.hashes([model], emulated)[model] != locked[model]
    metrics = Path("data/metrics/train_classifier.json")
    gap = largest_difference(emulated / metrics, tiny.path / metrics)
    assert gap < 1e-3
    record = environment.recorded(emulated)
    assert record["cpu_features"] == ["avx"]
