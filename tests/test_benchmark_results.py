"""What was measured is told as it is, machine by machine."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import comparison, figure, machine, markdown, report, spread, store
from pipeline.errors import UserError
from pipeline.figures import style
from pipeline.outs import artifacts


def variant(peer: str, cpu_isa: str, cores: int, seconds: float, **figures: Any) -> dict[str, Any]:
    """The figures of a peer, as `epochs` writes them, beside a second of this pipeline's."""
    return {
        "peer": peer,
        "library": "A Library 1.0",
        "cores": cores,
        "cpu_isa": cpu_isa,
        "held_out": False,
        "parameters": 100,
        "seconds": spread.spread([seconds]),
        "core_seconds": spread.spread([cores * seconds]),
        "times_ours": {
            "avx2": spread.spread([cores * seconds]),
            "native": spread.spread([cores * seconds / 0.8]),
        },
        "loss": 0.0634,
        "loss_agrees": True,
    } | figures


@pytest.fixture
def entry() -> dict[str, Any]:
    """A machine and results of every part, made up."""
    variants = [
        variant("this_pipeline", "avx2", 1, 1.0),
        variant("this_pipeline", "native", 1, 0.8),
        variant("this_pipeline", "avx2", 1, 1.5, held_out=True),
        variant("plain_keras", "native", 1, 3.0),
        variant("plain_keras", "native", 2, 2.0, loss_agrees=False),
        variant("plain_keras", "avx2", 1, 3.5),
        variant("tuned_keras", "native", 1, 2.1),
        variant("tuned_keras", "avx2", 1, 2.2),
        variant("jax_scan", "native", 1, 2.0),
        variant("jax_scan", "native", 2, 1.2),
        variant("jax_scan", "avx2", 1, 2.3),
    ]
    command = {"seconds": spread.spread([60.0, 61.0, 64.0]), "core_seconds": spread.spread([90.0])}
    names = ("make repro, cold", "tuned Keras scripts: conv_ae", "tuned Keras scripts")
    servers = dict.fromkeys(
        ("one_ms", "one_p95_ms", "one_rate", "eight_ms", "eight_p95_ms", "eight_rate", "many_ms"), 7
    ) | {"memory_mib": 900, "memory_after_mib": 901}
    return {
        "machine": {
            "cpu": "A(R) CPU",
            "cpu_features": ["avx2", "fma"],
            "cores": 2,
            "memory_gib": 24,
            "python": "3.11.7",
            "packages": {"tensorflow": "2.21.0", "dvc": "3.67.1", "mlflow": "3.17.2"},
        },
        "parts": {
            "peak": {"one_core": 70.0},
            "epochs": {"models": {"conv_ae": {"share_of_peak": 0.5, "variants": variants}}},
            "pipeline": {
                "commands": {name: command | {"peak_mib": 512.0} for name in names},
                "shares": {"tuned Keras scripts": spread.spread([0.41, 0.42, 0.44])},
            },
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
            "serving": {
                "requests": 100,
                "servers": {"this_pipeline": servers, "keras_flavor": servers},
            },
        },
    }


def test_a_peer_is_shown_at_its_best_of_each(entry: dict[str, Any]) -> None:
    table = markdown.table(comparison.rows(entry["parts"]["epochs"]))
    assert "| `conv_ae` | this pipeline | 1.00 | 1.00 | 0.80 | 0.80 | 1.00 | 0.80, 1 |" in table
    assert "| `conv_ae` | JAX | 2.30 | 2.30 | 2.00 | 2.00 | 2.50 | 1.20, 2 | 0.0634 |" in table
    assert "| 3.00 | 3.00 | 3.75 | 2.00, 2 | 0.0634 (differs!) |" in table
    assert "| this pipeline, held-out images measured too | 1.50 | 1.50 |  |  |  |" in table
    assert "PyTorch" not in table


def test_the_best_peer_is_named_capped_and_not(entry: dict[str, Any]) -> None:
    assert comparison.verdicts(entry["parts"]["epochs"]).endswith(
        "\n- `conv_ae`: 2.20 where both have AVX2 (tuned Keras), 2.00 where the peer has no cap "
        "(JAX), 2.50 where neither has (JAX). This pipeline, with AVX2, computes at 50% of the "
        "peak."
    )


def test_a_model_that_no_peer_is_written_for_is_shown_alone(entry: dict[str, Any]) -> None:
    figures = entry["parts"]["epochs"]["models"]["conv_ae"]
    figures["variants"] = [row for row in figures["variants"] if row["peer"] == "this_pipeline"]
    assert len(list(comparison.rows(entry["parts"]["epochs"]))) == 3
    assert "`conv_ae`: no peer was measured." in comparison.verdicts(entry["parts"]["epochs"])


def test_each_machine_has_a_section(entry: dict[str, Any]) -> None:
    pages = report.performance({"A CPU, 2 cores": entry, "Another, 8 cores": entry})
    assert pages.startswith("### A CPU, 2 cores\n\n| an epoch of |")
    assert pages.count("\n\n### Another, 8 cores\n\n| an epoch of |") == 1
    assert pages.count("| 10,000 | 100.0 s, 99 MiB | 100.0 s, 99 MiB |") == 2
    assert pages.count("| `conv_ae` | 9.00 s | 10.0 s | 0.90 |") == 2
    assert "60.0–64.0" in pages  # noqa: RUF001 - a range
    assert "takes 0.42 (0.41–0.44) of the time of the tuned Keras scripts." in pages  # noqa: RUF001
    assert pages.endswith("MLflow 3.17.2, Python 3.11.7.")


def test_a_machine_is_on_the_page_of_what_was_measured_on_it(entry: dict[str, Any]) -> None:
    parts = entry["parts"]
    machines = {
        "Server, 2 cores": entry | {"parts": {"serving": parts["serving"]}},
        "Trainer, 2 cores": entry | {"parts": {"peak": parts["peak"], "scale": parts["scale"]}},
    }
    servers, performance = report.serving(machines), report.performance(machines)
    assert "Measured on Server, 2 cores, with TensorFlow 2.21.0" in servers
    assert "Trainer" not in servers
    assert performance.startswith("### Trainer, 2 cores")
    assert "Server" not in performance


def test_a_machine_is_called_by_its_cpu_instructions_and_cores(entry: dict[str, Any]) -> None:
    described = entry["machine"]
    assert machine.name(described) == "A CPU (avx2, fma), 2 cores"
    assert machine.name(described | {"cores": 1, "cpu_features": []}) == "A CPU, 1 core"


def test_measuring_on_a_machine_leaves_others_as_they_are(
    entry: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    store.write({}, "first", entry, path)
    here = store.entry(store.read(path), "second", entry["machine"])
    assert here["parts"] == {}
    store.write(store.read(path), "second", here, path)
    assert list(store.read(path)) == ["second", "first"]  # as they stand on the page
    again = store.entry(store.read(path), "first", entry["machine"])
    assert again == entry
    store.write(store.read(path), "first", again, path)
    assert list(store.read(path).items()) == [("first", entry), ("second", here)]


def test_figures_of_other_packages_are_dropped_with_a_line(
    entry: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    newer = entry["machine"] | {"packages": {"tensorflow": "2.22.0"}}
    assert store.entry({"A CPU": entry}, "A CPU", newer) == {"machine": newer, "parts": {}}
    assert "A CPU had other packages" in capsys.readouterr().out


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
    entry: dict[str, Any], missing: tuple[str, ...], tmp_path: Path
) -> None:
    for part in missing:
        del entry["parts"][part]
    with style.applied(usetex=False):
        drawn = figure.drawn("A CPU, 2 cores", entry["parts"])
        artifacts.write_figure(tmp_path / "results.png", drawn)
    assert len(drawn.subfigs) == max(3 - len(missing), 1)
