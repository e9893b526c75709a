"""`compare` over a real store, with queued experiments in it."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import __main__
from tests.whole.repositories import ROOT, Repository, copied

pytestmark = pytest.mark.exhaustive

COMMANDS = [
    line
    for block in re.findall(
        r"```sh\n(.*?)```", (ROOT / "docs/experiments.md").read_text(), re.DOTALL
    )
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def swept(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository after the queued sweep of the documentation, over two code sizes."""
    clone = copied(repository, tmp_path_factory.mktemp("compare") / "clone")
    queue, run = (command for command in COMMANDS if command.startswith("dvc exp run"))
    assert "=4,8,16,32,64'" in queue
    clone.run(*shlex.split(queue.replace("=4,8,16,32,64'", "=4,8'")))
    clone.run(*shlex.split(run))
    return clone


@pytest.fixture(autouse=True)
def here(swept: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(swept.path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def compare(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    __main__.main(["compare", *arguments])
    return capsys.readouterr().out


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(compare(capsys, "--json", *arguments))
    return runs


def test_every_training_is_a_row_and_queued_ones_have_their_experiments_names(
    swept: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {name for name in swept.dvc("exp", "list", "--name-only").split() if name != "main:"}
    assert len(names) == 2
    classifiers, autoencoders = compare(capsys).split("\n\n")
    assert len(classifiers.splitlines()) == 2 + 1
    heading, _, *rows = autoencoders.splitlines()
    assert len(rows) == 4
    assert heading.split()[:7] == [
        *("stage", "when", "(UTC)", "commit", "fingerprint", "experiment", "code_units")
    ]
    assert "hidden_units" not in heading + classifiers
    assert {row.split()[5] for row in rows[:2]} == names  # the newest: the two of the sweep


def test_the_metrics_are_those_of_the_metrics_file(
    swept: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = found(capsys, "--stage", "train_conv_ae")
    path = swept.path / "data/metrics/train_conv_ae.json"
    assert run["metrics"] == json.loads(path.read_text())


def test_runs_are_filtered_by_stage_experiment_tag_and_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    everything = found(capsys)
    times = [run["started"] for run in everything if run["stage"] != "train_classifier"]
    assert times == sorted(times, reverse=True)
    dense = found(capsys, "--stage", "train_dense_ae")
    assert [run["stage"] for run in dense] == ["train_dense_ae"] * 3
    assert found(capsys, "--stage", "train_dense_ae", "--count", "1") == [
        dense[0] | {"best": found(capsys, "--count", "1")[0]["best"]}
    ]
    name = dense[0]["experiment"]
    assert [run["experiment"] for run in found(capsys, "--experiment", name)] == [name]
    fingerprint = dense[2]["fingerprint"]
    (tagged,) = found(capsys, "--tag", f"dvc.fingerprint={fingerprint}")
    assert tagged["fingerprint"] == fingerprint
    assert [run["stage"] for run in found(capsys, "--stage", "visualize")][:1] == ["visualize"]


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if command.startswith("python -m pipeline")]
)
def test_a_command_of_the_documentation_works(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    _, _, _, name, *arguments = shlex.split(command)
    assert name == "compare"
    assert compare(capsys, *arguments)


def test_when_nothing_passes_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys, "--experiment", "none") == []
    assert compare(capsys, "--experiment", "none").startswith("no finished run passes")


def test_the_figure_shows_every_autoencoder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    compare(capsys, "--figure", str(tmp_path / "rate.png"))
    with Image.open(tmp_path / "rate.png") as image:
        assert image.size == (1100, 520)


def test_a_figure_of_no_autoencoder_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    figure = tmp_path / "rate.png"
    with pytest.raises(SystemExit, match=r"^1$"):
        __main__.main(["compare", "--stage", "train_classifier", "--figure", str(figure)])
    assert capsys.readouterr().err == (
        f"error: {figure}: found no autoencoder among the runs, expected some\n"
    )


@pytest.mark.parametrize("arguments", [("--count", "0"), ("--tag", "dvc.stage"), ("--tag", "=x")])
def test_a_filter_that_is_none_shows_the_usage(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        __main__.main(["compare", *arguments])
    assert f"found '{arguments[1]}', expected" in capsys.readouterr().err


def test_an_epoch_s_seconds_are_in_mlflow_alone(swept: Repository) -> None:
    for run in swept.runs():
        if run.data.tags["dvc.stage"] != "visualize":
            times = swept.client.get_metric_history(run.info.run_id, "epoch_seconds")
            assert [time.step for time in times] == list(range(1, len(times) + 1)) != []
            assert all(time.value > 0 for time in times)
    assert "seconds" not in (swept.path / "data/history/train_dense_ae.csv").read_text()
