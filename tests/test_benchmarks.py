"""The benchmarks measure what they say; how fast anything is, no test judges."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import comparison, processes, spread, store, tiles, variants
from pipeline.data.datasets import Dataset
from pipeline.data.files import readers
from pipeline.errors import StageFailed
from pipeline.outs import machine as cpu
from pipeline.params import PipelineParams
from stages import train_classifier, train_conv_ae, train_dense_ae

ROOT = Path(__file__).parents[1]


@pytest.mark.usefixtures("tensorflow")
def test_multiply_adds_are_counted_from_the_models_layers(params: PipelineParams) -> None:
    from benchmarks.arithmetic import multiply_adds

    hidden, outputs = 784 * 600, 600 * 10
    assert multiply_adds(train_classifier.build(params.section("train_classifier"), 28, 10)) == (
        2 * hidden + 3 * outputs
    )
    encoder = decoder = 784 * 100
    assert multiply_adds(train_dense_ae.build(params.section("train_dense_ae"), 28)) == (
        2 * encoder + 3 * decoder
    )
    first, code, last = 28 * 28 * 9 * 16, 14 * 14 * 9 * 16 * 16, 28 * 28 * 9 * 16
    assert multiply_adds(train_conv_ae.build(params.section("train_conv_ae"), 28)) == (
        2 * first + 3 * code + 3 * last
    )


def test_tiles_are_the_real_images_then_others_like_them(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "read", lambda _, kind, __: getattr(digits, f"train_{kind}"))
    monkeypatch.chdir(ROOT)
    tiles.write(1000, tmp_path)
    monkeypatch.undo()
    images = readers.read(tmp_path / "images.idx", "images", "train")
    labels = readers.read(tmp_path / "labels.idx", "labels", "train")
    np.testing.assert_array_equal(images[:400], digits.train_images)
    np.testing.assert_array_equal(labels, np.tile(digits.train_labels, 3)[:1000])
    difference = images[400:800].astype(int) - digits.train_images
    assert (difference.min(), difference.max()) == (0, tiles.NOISE - 1)
    assert len(np.unique(images, axis=0)) == len(np.unique(digits.train_images, axis=0)) * 2 + 200


def test_a_process_is_measured_apart_from_its_parent() -> None:
    hold = "b = bytearray(200 << 20); sum(range(10**6)); import time; time.sleep(0.3)"
    done = processes.run(sys.executable, "-c", f"{hold}; print('{{\"a\": 1}}')")
    assert done.figures == {"a": 1}
    assert done.peak_mib > 200
    assert done.seconds >= 0.3
    assert 0 < done.core_seconds < done.seconds


def test_a_process_has_the_cores_it_is_given() -> None:
    allowed = os.sched_getaffinity(0)
    mine = "import os; print(len(os.sched_getaffinity(0)))"
    assert processes.run(sys.executable, "-c", mine, cores=1).output == "1\n"
    assert processes.run(sys.executable, "-c", mine).output == f"{len(allowed)}\n"
    assert os.sched_getaffinity(0) == allowed


def test_a_process_sees_no_pins_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS"):
        monkeypatch.setenv(name, "the caller's")
    assert os.environ["ONEDNN_MAX_CPU_ISA"]  # the tests' own
    assert not {*processes.environment()} & {
        *("ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "MLFLOW_TRACKING_URI"),
        *("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS"),
    }


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(StageFailed, match=r"^python -c .* failed:\nno luck$"):
        processes.run(sys.executable, "-c", "raise SystemExit('no luck')")


def test_ratios_are_taken_within_a_repetition() -> None:
    assert spread.ratios([2, 40, 6], [1, 10, 2]) == {"median": 3, "min": 2, "max": 4}


def test_a_peer_is_measured_capped_and_not() -> None:
    chosen = [one for one in variants.chosen(sys.executable) if one.peer == "tuned_keras"]
    cores = {1, len(os.sched_getaffinity(0))}
    expected = {(count, "native") for count in cores} | {(1, "avx2")}
    assert {(one.cores, one.cpu_isa) for one in chosen} == expected
    for one in chosen:
        assert ("ONEDNN_MAX_CPU_ISA" in one.settings()) == (one.cpu_isa == "avx2")


def test_no_peer_is_capped_to_what_the_cpu_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: sse4_2 avx\n")
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "cpuinfo")
    chosen = variants.chosen(sys.executable)
    assert {one.cpu_isa for one in chosen if one.peer != variants.OURS} == {"native"}


def benchmarks(*arguments: str | Path, code: int = 0) -> str:
    """What `python -m benchmarks` prints, with this interpreter's peers."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"), [(["speed"], "found speed, expected peak"), (["--quick"], "--output")]
)
def test_a_mistaken_call_is_told_at_once(arguments: list[str], told: str) -> None:
    assert told in benchmarks(*arguments, code=2)


def test_a_report_of_nothing_is_told(tmp_path: Path) -> None:
    assert "no results.json with figures" in benchmarks("report", "--output", tmp_path, code=1)


@pytest.mark.exhaustive
@pytest.mark.skipif(cpu.lacks("avx512f"), reason="this CPU has nothing beyond AVX2")
@pytest.mark.parametrize("peer", ["this_pipeline", "tuned_keras"])
def test_a_cap_holds(peer: str, tmp_path: Path) -> None:
    tiles.make(400, tmp_path)
    told = {}
    for cpu_isa in ("avx2", "native"):
        one = variants.Variant(peer, 1, cpu_isa)
        done = processes.run(
            *(sys.executable, "-m", f"benchmarks.peers.{peer}", "conv_ae"),
            *("--data", tmp_path, "--epochs", "1"),
            *one.options(),
            settings=one.settings() | {"ONEDNN_VERBOSE": "1"},
        )
        (told[cpu_isa],) = re.findall(r"cpu,isa:(.*)", done.output)
    assert told["avx2"] == "Intel AVX2"
    assert told["native"].startswith("Intel AVX-512")


def parts(folder: Path) -> dict[str, Any]:
    """The results in `folder`, of this machine."""
    (last, *_) = json.loads((folder / "results.json").read_text()).values()
    measured: dict[str, Any] = last["parts"]
    return measured


@pytest.mark.exhaustive
def test_trainings_are_measured_and_reach_the_same_losses(tmp_path: Path) -> None:
    printed = benchmarks("epochs", "--quick", "--output", tmp_path)
    measured = parts(tmp_path)
    assert measured["peak"]["one_core"] > 0
    assert set(measured["epochs"]["models"]) == {"classifier", "dense_ae", "conv_ae"}
    for model in measured["epochs"]["models"].values():
        assert model["share_of_peak"] > 0
        ways = {(row["peer"], row["cpu_isa"]) for row in model["variants"]}
        peers = ("this_pipeline", "plain_keras", "tuned_keras")
        assert {*itertools.product(peers, comparison.BOTH)} <= ways
        for row in model["variants"]:
            assert row["loss_agrees"]
            assert row["core_seconds"]["min"] > 0
            assert set(row["times_ours"]) == set(comparison.BOTH)
    assert "- `classifier`: " in printed


@pytest.mark.exhaustive
def test_the_whole_pipeline_is_measured(tmp_path: Path) -> None:
    printed = benchmarks("pipeline", "--quick", "--output", tmp_path)
    measured = parts(tmp_path)["pipeline"]
    assert len(measured["commands"]) == 13
    assert all(figures["seconds"]["min"] > 0 for figures in measured["commands"].values())
    assert set(measured["shares"]) == {"plain Keras scripts", "tuned Keras scripts"}
    assert "| make repro, cold |" in printed


@pytest.mark.exhaustive
def test_streaming_is_measured(tmp_path: Path) -> None:
    benchmarks("streaming", "--quick", "--output", tmp_path)
    models = parts(tmp_path)["streaming"]["models"]
    assert set(models) == {"classifier", "dense_ae", "conv_ae"}
    assert all(figures["speed_ratio"]["min"] > 0 for figures in models.values())


@pytest.mark.exhaustive
def test_scale_is_measured_beside_the_figures_of_another_machine(tmp_path: Path) -> None:
    another: dict[str, Any] = {"machine": {"cores": 8}, "parts": {"peak": {"one_core": 70.0}}}
    store.write({}, "Another, 8 cores", another, tmp_path / "results.json")
    benchmarks("scale", "--quick", "--output", tmp_path)
    rows = parts(tmp_path)["scale"]["stages"]
    assert len(rows) == 8
    assert all(row["seconds"] > 0 and row["peak_mib"] > 10 for row in rows)
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")
    assert list(store.read(tmp_path / "results.json").items())[1] == ("Another, 8 cores", another)
