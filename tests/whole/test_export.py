"""Exported models answer as the Keras models of dvc.lock, and nothing is lost by exporting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline import __main__
from pipeline.commands import export
from pipeline.outs import paths
from tests.whole.repositories import TRAININGS, Repository

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]

Images = npt.NDArray[np.uint8]
STAGE = "train_conv_ae"


@pytest.fixture(autouse=True)
def _here(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.path)


def _saved_model(path: Path, images: Images) -> Any:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # its variables live as long as it does
    return loaded.serve(images)


def _onnx(path: Path, images: Images) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path)
    (start,) = session.get_inputs()
    return session.run(None, {start.name: images})[0]


def _litert(path: Path, images: Images) -> Any:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    (start,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(start["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(start["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(end["index"])


ANSWERS: dict[str, Callable[[Path, Images], Any]] = {
    "saved_model": _saved_model,
    "onnx": _onnx,
    "litert": _litert,
}


def _export(stage: str, form: str, output: Path) -> None:
    __main__.main(["export", stage, "--format", form, "--output", str(output)])


@pytest.mark.parametrize("form", export.FORMATS)
@pytest.mark.parametrize("stage", TRAININGS)
def test_an_exported_model_answers_as_that_of_dvc_lock(
    tmp_path: Path, stage: str, form: str
) -> None:
    if converter := export.CONVERTERS.get(form):
        pytest.importorskip(converter, reason="the extra `export` is not installed")
    from pipeline.outs import model_archive
    from pipeline.training.predictions import predictor

    _export(stage, form, tmp_path / "exported")
    images = np.load(paths.PREPARED / "test_images.npy")
    found = np.asarray(ANSWERS[form](tmp_path / "exported", images))
    expected = predictor(model_archive.read(paths.model(stage)))(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SystemExit, match=r"^1$"):
        _export(STAGE, "litert", tmp_path / "mine")
    told = f"error: {tmp_path}/mine: found something there, expected nothing: it is kept as it is\n"
    assert capsys.readouterr() == ("", told)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_model_that_dvc_lock_does_not_name_is_refused(
    copy: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(copy.path)
    paths.model(STAGE).unlink()  # a link to DVC's cache, perhaps
    paths.model(STAGE).write_text("another")
    with pytest.raises(SystemExit, match=r"^1$"):
        _export(STAGE, "litert", tmp_path / "exported")
    told = capsys.readouterr().err
    assert told.startswith(
        "error: data/models/conv_ae.keras: found md5 b32d73e56ec99bc5ec8f83871cde"
    )
    assert len(told.splitlines()) == 1
    assert [*tmp_path.glob("exported")] == []


def test_a_stage_without_a_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        _export("prepare", "litert", tmp_path / "exported")
    assert "invalid choice: 'prepare' (choose from 'train_classifier'" in capsys.readouterr().err


def test_a_missing_converter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(export.CONVERTERS, "onnx", "no_such_package")
    with pytest.raises(SystemExit, match=r"^1$"):
        _export(STAGE, "onnx", tmp_path / "exported")
    assert capsys.readouterr().err == (
        "error: --format onnx: found no no_such_package, expected it in this environment; "
        "`python -m pip install no_such_package` adds it\n"
    )


@pytest.mark.parametrize("form", ["saved_model", "litert"])
def test_a_place_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SystemExit, match=r"^1$"):
        _export(STAGE, form, tmp_path / "file" / "exported")
    told = capsys.readouterr().err
    assert told.startswith(f"error: {tmp_path}/file/exported: can't be written: ")
    assert len(told.splitlines()) == 1
