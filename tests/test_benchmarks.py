"""The benchmarks measure what they say; how fast anything is, no test judges."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import figure, processes, report, spread, tiles
from pipeline.data.datasets import Dataset
from pipeline.data.files import readers
from pipeline.errors import StageFailed, UserError
from pipeline.figures import style
from pipeline.outs import artifacts
from pipeline.params import PipelineParams
from stages import train_classifier, train_conv_ae, train_dense_ae

ROOT = Path(__file__).parents[1]


def variant(peer: str, cores: int, seconds: float, **figures: Any) -> dict[str, Any]:
    """The figures of a peer, as `epochs` writes them."""
    return {
        "peer": peer,
        "library": "A Library 1.0",
        "cores": cores,
        "held_out": False,
        "parameters": 100,
        "seconds": spread.spread([seconds]),
        "core_seconds": spread.spread([cores * seconds]),
        "core_seconds_ratio": spread.spread([cores * seconds]),
        "share_of_peak": 0.5,
        "loss": 0.0634,
        "loss_agrees": True,
    } | figures


@pytest.fixture
def results() -> dict[str, Any]:
    """Results of every part, made up."""
    variants = [
        variant("this_pipeline", 1, 1.0),
        variant("this_pipeline", 2, 1.5, held_out=True),
        variant("plain_keras", 1, 3.0),
        variant("plain_keras", 2, 2.0, loss_agrees=False),
    ]
    command = {"seconds": spread.spread([60.0, 61.0, 64.0]), "core_seconds": spread.spread([90.0])}
    return {
        "machine": {
            "cpu": "A CPU",
            "cpu_features": ["avx2"],
            "cores": 2,
            "memory_gib": 24,
            "python": "3.11.7",
            "packages": {"tensorflow": "2.21.0"},
        },
        "parts": {
            "peak": {"one_core": 70.0},
            "epochs": {"models": {"conv_ae": {"variants": variants}}},
            "pipeline": {"commands": {"make repro, cold": command | {"peak_mib": 512.0}}},
            "streaming": {
                "images": 60_000,
                "budget_mib": 16,
                "models": {
                    "conv_ae": {
                        "from_memory": spread.spread([9.0]),
                        "streamed": spread.spread([10.0]),
                        "speed_ratio": spread.ratios([9.0], [10.0]),
                    }
                },
            },
            "scale": {
                "stages": [
                    {"stage": stage, "images": count, "seconds": count / 100, "peak_mib": 99.0}
                    for stage in ("prepare", "train_conv_ae")
                    for count in (10_000, 60_000)
                ]
            },
        },
    }


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
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    assert os.environ["ONEDNN_MAX_CPU_ISA"]  # the tests' own
    assert not {*processes.environment()} & {
        *("ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "MLFLOW_TRACKING_URI"),
    }


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(StageFailed, match=r"^python -c .* failed:\nno luck$"):
        processes.run(sys.executable, "-c", "raise SystemExit('no luck')")


def test_ratios_are_taken_within_a_repetition() -> None:
    assert spread.ratios([2, 40, 6], [1, 10, 2]) == {"median": 3, "min": 2, "max": 4}


def test_a_peer_is_shown_at_its_best_of_each(results: dict[str, Any]) -> None:
    tables = report.markdown(results)
    assert (
        "| `conv_ae` | plain Keras | 3.00 | 3.00 | 50% | 2.00 | 2 | 0.0634 (differs!) |" in tables
    )
    assert "| `conv_ae` | this pipeline | 1.00 | 1.00 | 50% | 1.00 | 1 | 0.0634 |" in tables
    assert "PyTorch" not in tables
    assert "| 10,000 | 100.0 s, 99 MiB | 100.0 s, 99 MiB |" in tables
    assert "| `conv_ae` | 9.00 s | 10.0 s | 0.90 |" in tables
    assert "60.0–64.0" in tables  # noqa: RUF001 - a range
    assert tables.endswith("with A Library 1.0, Python 3.11.7, TensorFlow 2.21.0.")


def test_tables_take_the_place_of_the_last_ones(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n")
    report.insert("new", readme)
    report.insert("newer", readme)
    assert readme.read_text() == f"before\n{report.START}\n\nnewer\n\n{report.END}\nafter\n"


def test_a_readme_without_markers_is_told(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no place")
    with pytest.raises(UserError, match="expected the lines <!-- benchmark table -->"):
        report.check(readme)


@pytest.mark.parametrize("missing", [(), ("epochs",), ("scale",), ("epochs", "pipeline", "scale")])
def test_the_figure_shows_what_was_measured(
    results: dict[str, Any], missing: tuple[str, ...], tmp_path: Path
) -> None:
    for part in missing:
        del results["parts"][part]
    with style.applied(usetex=False):
        drawn = figure.drawn(results["parts"])
        artifacts.write_figure(tmp_path / "results.png", drawn)
    assert len(drawn.subfigs) == max(3 - len(missing), 1)


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


@pytest.mark.exhaustive
def test_trainings_are_measured_and_reach_the_same_losses(tmp_path: Path) -> None:
    benchmarks("epochs", "--quick", "--output", tmp_path)
    parts = json.loads((tmp_path / "results.json").read_text())["parts"]
    assert parts["peak"]["one_core"] > 0
    assert set(parts["epochs"]["models"]) == {"classifier", "dense_ae", "conv_ae"}
    for model in parts["epochs"]["models"].values():
        assert {"this_pipeline", "plain_keras"} <= {row["peer"] for row in model["variants"]}
        for row in model["variants"]:
            assert row["loss_agrees"]
            assert row["core_seconds"]["min"] > 0
            assert row["share_of_peak"] > 0


@pytest.mark.exhaustive
def test_the_whole_pipeline_is_measured(tmp_path: Path) -> None:
    printed = benchmarks("pipeline", "--quick", "--output", tmp_path)
    commands = json.loads((tmp_path / "results.json").read_text())["parts"]["pipeline"]["commands"]
    assert len(commands) == 9
    assert all(figures["seconds"]["min"] > 0 for figures in commands.values())
    assert "| make repro, cold |" in printed


@pytest.mark.exhaustive
def test_streaming_is_measured(tmp_path: Path) -> None:
    benchmarks("streaming", "--quick", "--output", tmp_path)
    models = json.loads((tmp_path / "results.json").read_text())["parts"]["streaming"]["models"]
    assert set(models) == {"classifier", "dense_ae", "conv_ae"}
    assert all(figures["speed_ratio"]["min"] > 0 for figures in models.values())


@pytest.mark.exhaustive
def test_scale_is_measured(tmp_path: Path) -> None:
    benchmarks("scale", "--quick", "--output", tmp_path)
    rows = json.loads((tmp_path / "results.json").read_text())["parts"]["scale"]["stages"]
    assert len(rows) == 8
    assert all(row["seconds"] > 0 and row["peak_mib"] > 10 for row in rows)
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")
