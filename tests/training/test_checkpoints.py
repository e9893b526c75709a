"""A training that is interrupted goes on as if it had not been, and never from another's state."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.datasets import Dataset
from pipeline.errors import LockError
from pipeline.outs.artifacts import Row
from pipeline.outs.runtime import start_tensorflow
from pipeline.params import SGD, Adam, PipelineParams
from pipeline.training import fit, objectives
from pipeline.training.checkpoints import Checkpoint
from pipeline.training.fit import OnEpoch
from stages import train_classifier, train_conv_ae, train_dense_ae
from tests.conftest import optimizer as chosen
from tests.training import noisy

pytestmark = pytest.mark.usefixtures("tensorflow")

STAGE, EPOCHS = "train", 3
DVC_YAML = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py, images.npy]
    params: [seed]
    outs: [model.keras]
"""
OPTIMIZERS = {
    "sgd": SGD(learning_rate=0.1, momentum=0.0, nesterov=False),
    "sgd with momentum": SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
    "adam": Adam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
}


FILES = {
    "dvc.yaml": DVC_YAML,
    "params.yaml": "seed: 42\n",
    "train.py": "print()\n",
    "images.npy": "pixels",
}


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stage of one code file, one data file and one param, to be copied."""
    path = tmp_path_factory.mktemp("committed")
    for name, text in FILES.items():
        (path / name).write_text(text)
    return path


@pytest.fixture(autouse=True)
def project(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `committed` to work in."""
    shutil.copytree(committed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Ends a training as Ctrl-C would."""


Result = tuple[list[Row], bytes]  # history, and the bytes of all that the model keeps


class Training:
    """The training of one small model, which can be run again and again."""

    def __init__(
        self, params: PipelineParams, digits: Dataset, model: str = "dense_ae", **settings: Any
    ) -> None:
        self.params, self.digits, self.model = params, digits, model
        self.settings = {"epochs": EPOCHS} | settings

    def run(self) -> Result:
        """Train to the end, from the state that is kept, if there is one."""
        return self._fit()

    def interrupt(self, *epochs: int) -> "Training":
        """Train again and again, each time until the end of one of `epochs`."""
        for epoch in epochs:

            def interrupt(row: Row, last: int = epoch) -> None:
                if row["epoch"] == last:
                    raise Interrupted

            with pytest.raises(Interrupted):
                self._fit([interrupt])
        return self

    def _fit(self, on_epoch: Sequence[OnEpoch] = ()) -> Result:
        start_tensorflow(self.params.seed, self.params.runtime)
        objective = objectives.reconstruction()
        match self.model:
            case "classifier":
                objective = objectives.classification(10)
                model = train_classifier.build(self.params.section("train_classifier"), 28, 10)
            case "dense_ae":
                model = train_dense_ae.build(self.params.section("train_dense_ae"), 28)
            case "conv_ae":
                model = train_conv_ae.build(self.params.section("train_conv_ae"), 28)
            case "noisy":
                model = noisy.build(28)
        with Checkpoint(STAGE, self.params.runtime) as checkpoint:
            rows = fit.fit(
                model,
                (self.digits.train_images, self.digits.train_labels),
                (self.digits.test_images, self.digits.test_labels),
                objective=objective,
                section=self.params.section("train_dense_ae").model_copy(update=self.settings),
                seed=7,
                checkpoint=checkpoint,
                on_epoch=on_epoch,
            )
        return rows, b"".join(variable.numpy().tobytes() for variable in model.variables)


@pytest.fixture(scope="module")
def whole(committed: Path, params: PipelineParams, digits: Dataset) -> Result:
    """What a training of dense_ae gives that nothing interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(committed)
        return Training(params, digits).run()


@pytest.fixture(scope="module")
def kept(
    committed: Path,
    params: PipelineParams,
    digits: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder as that training leaves it when it is interrupted after its second epoch."""
    path = Path(shutil.copytree(committed, tmp_path_factory.mktemp("kept") / "project"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        Training(params, digits).interrupt(2)
    return path


@pytest.fixture
def interrupted(kept: Path, project: Path) -> Path:
    """`project` with the state that is in `kept`: its one file."""
    shutil.copytree(kept, project, dirs_exist_ok=True)
    (state,) = (project / ".checkpoints" / STAGE).iterdir()
    return state


@pytest.mark.parametrize("model", ["classifier", "dense_ae", "conv_ae"])
def test_an_interrupted_training_ends_with_the_same_weights_and_history(
    params: PipelineParams, digits: Dataset, model: str
) -> None:
    optimizer = params.section(f"train_{model}").optimizer
    training_ = Training(params, digits, model, optimizer=optimizer)
    whole = training_.run()
    # After the first and the second epoch, and when all are done but nothing is written.
    assert training_.interrupt(1, 2, EPOCHS).run() == whole
    assert [row["epoch"] for row in whole[0]] == list(range(1, EPOCHS + 1))


def test_the_state_of_noise_and_of_normalization_is_part_of_it(
    params: PipelineParams, digits: Dataset
) -> None:
    training_ = Training(params, digits, "noisy")
    whole = training_.run()
    assert training_.interrupt(1, 2).run() == whole


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_of_every_optimizer_is_part_of_it(
    params: PipelineParams, digits: Dataset, optimizer: str
) -> None:
    training_ = Training(params, digits, optimizer=chosen(OPTIMIZERS[optimizer]))
    whole = training_.run()
    assert training_.interrupt(2).run() == whole


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_training_does_not_begin_anew(
    params: PipelineParams, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    Training(params, digits).run()
    assert capsys.readouterr().out == "continuing after epoch 2\n"


def test_no_state_is_left_after_a_training_that_ended_well(
    params: PipelineParams, digits: Dataset, interrupted: Path
) -> None:
    Training(params, digits).run()
    assert not interrupted.exists()
    assert not list(interrupted.parents[1].iterdir())


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _changed(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [_cut, _changed])
def test_a_damaged_state_is_not_used(
    *,
    params: PipelineParams,
    digits: Dataset,
    interrupted: Path,
    whole: Result,
    capsys: pytest.CaptureFixture[str],
    damage: Any,
) -> None:
    interrupted.write_bytes(damage(interrupted.read_bytes()))
    assert Training(params, digits).run() == whole
    printed = capsys.readouterr().out
    assert "not readable" in printed
    assert "continuing" not in printed


CHANGES = {
    "data": ("images.npy", "other pixels"),
    "code": ("train.py", "print(1)\n"),
    "a param": ("params.yaml", "seed: 43\n"),
    "the command": ("dvc.yaml", DVC_YAML.replace("train.py\n", "train.py --fast\n")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_inputs_do_not_find_the_state_and_remove_it(
    params: PipelineParams, project: Path, change: str
) -> None:
    checkpoint = Checkpoint(STAGE, params.runtime)
    checkpoint.save([], [{"epoch": 1}])
    assert Checkpoint(STAGE, params.runtime).restore([]) == [{"epoch": 1}]
    name, text = CHANGES[change]
    (project / name).write_text(text)
    with Checkpoint(STAGE, params.runtime) as other:
        assert other.path != checkpoint.path
        assert other.restore([]) == []
        assert not checkpoint.path.exists()


def test_other_packages_and_threads_do_not_find_the_state(
    params: PipelineParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(STAGE, params.runtime)
    threads = params.runtime.model_copy(update={"threads": 2})
    assert Checkpoint(STAGE, threads).path != checkpoint.path
    monkeypatch.setattr("pipeline.outs.environment.PACKAGES", ("numpy",))
    assert Checkpoint(STAGE, params.runtime).path != checkpoint.path


def test_what_a_killed_process_has_half_written_is_removed(params: PipelineParams) -> None:
    checkpoint = Checkpoint(STAGE, params.runtime)
    checkpoint.save([], [{"epoch": 1}])
    half = checkpoint.path.with_name(f".{checkpoint.path.name}.4194304.partial")
    shutil.copy(checkpoint.path, half)
    with checkpoint:
        assert list(checkpoint.path.parent.iterdir()) == [checkpoint.path]


def test_a_missing_dep_is_named(params: PipelineParams, project: Path) -> None:
    (project / "images.npy").unlink()
    with pytest.raises(LockError, match=r"images\.npy"):
        Checkpoint(STAGE, params.runtime)
