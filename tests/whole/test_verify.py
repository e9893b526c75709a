"""`make verify` passes what is the same, and tells what is not, where and why."""

import difflib
import hashlib
import io
import re
import zipfile
from collections.abc import Callable

import pytest

from pipeline.outs import machine
from tests.whole.repositories import STAGES, TRAININGS, Repository

pytestmark = pytest.mark.slow


def verify(repository: Repository, *options: str, code: int = 0) -> str:
    return repository.python("-m", "pipeline", "verify", *options, code=code)


def commit(repository: Repository) -> None:
    repository.run("git", "commit", "--quiet", "--all", "--message", "a change")


def edit(repository: Repository, path: str, old: str, new: str) -> None:
    file = repository.path / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def flip_last_bit(repository: Repository) -> None:
    """Let dvc.lock name a classifier that differs in the lowest bit of one weight."""
    model = repository.path / "data/models/classifier.keras"
    flipped = io.BytesIO()
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(flipped, "w") as new:
        for entry in old.infolist():
            content = bytearray(old.read(entry))
            if entry.filename == "model.weights.h5":
                # Most of the file is the hidden kernel, in little-endian float32.
                content[len(content) // 2 // 4 * 4] ^= 1
            new.writestr(entry, bytes(content))
    honest, other = md5(model.read_bytes()), md5(flipped.getvalue())
    edit(repository, "dvc.lock", honest, other)
    cached = repository.path / ".dvc/cache/files/md5" / other[:2] / other[2:]
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(flipped.getvalue())


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.mark.exhaustive
def test_an_unchanged_repository_is_identical(copy: Repository) -> None:
    (copy.path / "params.yaml").write_text("uncommitted: and so not verified")
    runs = len(copy.runs())
    printed = verify(copy)
    assert "There are uncommitted changes; this verifies HEAD" in printed
    assert f"identical: {copy.outs(*STAGES)} outs, this rebuild and dvc.lock" in printed
    assert len(copy.runs()) == runs


@pytest.mark.exhaustive
def test_two_rebuilds_are_identical_and_native_code_is_no_promise(copy: Repository) -> None:
    edit(copy, "params.yaml", "cpu_isa: avx2", "cpu_isa: native")
    commit(copy)
    printed = verify(copy, "--twice", "--stage", "train_classifier")
    assert f"identical: {copy.outs('train_classifier')} outs, two rebuilds" in printed
    assert "a CPU with other instruction sets may give other bytes" in printed
    assert "rebuilding visualize" not in printed


def test_one_weights_last_bit_is_found_and_a_tolerance_lets_it_pass(copy: Repository) -> None:
    flip_last_bit(copy)
    edit(copy, "environment.json", '"openblas": 1', '"openblas": 2')
    commit(copy)
    printed = verify(copy, "--stage", "train_classifier", "--tolerance", "1e-6")
    row = next(line for line in printed.splitlines() if "classifier.keras" in line)
    assert row.split()[:3] == ["data/models/classifier.keras", "train_classifier", "NO"]
    assert 0 < float(row.split()[3]) < 1e-7
    assert "first stage to drift: train_classifier" in printed
    assert "environment: threads.openblas was 2, is 1" in printed
    assert f"on {machine.cpu_name()} (" in printed
    assert "passed: history and metrics agree within 1e-06, although bytes differ" in printed


@pytest.mark.exhaustive
def test_on_another_kind_of_machine_than_made_the_results_a_tolerance_judges_by_itself(
    copy: Repository,
) -> None:
    flip_last_bit(copy)
    edit(copy, "environment.json", f'"{machine.kind()}"', '"Linux riscv64"')
    commit(copy)
    printed = verify(copy, "--stage", "train_classifier")
    assert f"environment: machine was Linux riscv64, is {machine.kind()}" in printed
    assert "dvc.lock is of Linux riscv64 (cpu: " in printed
    assert "passed: history and metrics agree within 0.001, although bytes differ" in printed
    metrics = "data/metrics/train_classifier.json"
    honest = md5((copy.path / metrics).read_bytes())
    edit(copy, metrics, '"train_loss": ', '"train_loss": 1')
    edit(copy, "dvc.lock", honest, md5((copy.path / metrics).read_bytes()))
    commit(copy)
    verify(copy, "--stage", "train_classifier", code=1)


@pytest.mark.exhaustive
def test_a_drift_without_another_cause_is_said_to_come_from_the_cpu_perhaps(
    copy: Repository,
) -> None:
    flip_last_bit(copy)
    commit(copy)
    printed = verify(copy, "--stage", "train_classifier", code=1)
    assert "the CPU may be the cause" in printed


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        pytest.param(
            lambda copy: edit(copy, "params.yaml", "epochs: 4", "epochs: 3"),
            "params: train_classifier.epochs was 4, is 3",
            id="a param",
        ),
        pytest.param(
            lambda copy: edit(copy, "params.yaml", "seed: 42", "seed: 43"),
            "params: seed was 42, is 43",
            id="the seed",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            lambda copy: edit(
                copy, "pipeline/data/examples.py", "rng((seed, epoch))", "rng((epoch, seed))"
            ),
            "code: pipeline/data/examples.py is not the one that dvc.lock names",
            id="a line of code",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_a_drift_is_told_with_its_stage_and_cause(
    copy: Repository, change: Callable[[Repository], None], cause: str
) -> None:
    change(copy)
    commit(copy)
    printed = verify(copy, "--stage", "train_classifier", code=1)
    assert "first stage to drift: train_classifier" in printed
    assert cause in printed


def test_an_unknown_stage_is_told_the_known_ones(copy: Repository) -> None:
    printed = copy.main("verify", "--stage", "train", code=1)
    known = re.fullmatch(r"error: --stage: found 'train', expected one of (.*)\n", printed)
    assert known
    assert set(known[1].split(", ")) == set(STAGES)


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("pipeline/outs/artifacts.py", set(STAGES)),
        ("pipeline/params.py", set(STAGES)),
        ("pipeline/data/files/readers.py", {"prepare"}),
        ("pipeline/data/examples.py", {*TRAININGS, "visualize"}),
        ("pipeline/training/fit.py", {*TRAININGS, "visualize"}),
        ("pipeline/training/fast/subpixel.py", {*TRAININGS, "visualize"}),
        ("pipeline/figures/codes.py", {"visualize"}),
        ("stages/train_dense_ae.py", {"train_dense_ae", "visualize"}),
        ("pipeline/errors.py", set()),
        ("pipeline/tracking/runs.py", set()),
        ("pipeline/progress.py", set()),
    ],
)
def test_a_changed_line_concerns_the_stages_that_depend_on_it_and_no_other(
    repository: Repository, path: str, stages: set[str]
) -> None:
    file = repository.path / path
    before = file.read_text()
    file.write_text(f"{before}\nCHANGED = 1\n")
    try:
        assert set(repository.changed()) == stages
    finally:
        file.write_text(before)


@pytest.mark.exhaustive
def test_a_changed_line_runs_the_stage_again_and_the_same_bytes_stop_there(
    copy: Repository,
) -> None:
    lock = copy.path / "dvc.lock"
    before = lock.read_text().splitlines()
    edit(copy, "stages/train_conv_ae.py", "CODE = ", "CHANGED = 1\nCODE = ")
    printed = copy.dvc("repro")
    assert printed.count("Running stage") == 2
    assert "Running stage 'train_conv_ae'" in printed
    assert "Running stage 'visualize'" in printed  # it depends on what stage files declare
    compared = difflib.ndiff(before, lock.read_text().splitlines())
    changed = [line for line in compared if line.startswith(("- ", "+ "))]
    assert len(changed) == 8  # md5 and size of the file, and of its folder, before and after
