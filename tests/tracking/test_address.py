"""The tracking store is the same from everywhere in a repository."""

from pathlib import Path

import pytest

from pipeline.errors import TrackingError
from pipeline.tracking import address
from pipeline.tracking.store import Store

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", ["", ".dvc/tmp/exps/tmp123"])
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("", "sqlite:///{root}/mlflow.db"),
        ("sqlite:///mlflow.db", "sqlite:///{root}/mlflow.db"),
        ("sqlite:///a folder/runs.db", "sqlite:///{root}/a folder/runs.db"),
        ("sqlite:////elsewhere/mlflow.db", "sqlite:////elsewhere/mlflow.db"),
        ("sqlite:///mlflow.db/", "sqlite:///{root}/mlflow.db"),
        ("mlruns", "file://{root}/mlruns"),
        ("./mlruns/", "file://{root}/mlruns"),
        ("file:mlruns", "file://{root}/mlruns"),
        ("file:./a%20folder", "file://{root}/a%20folder"),
        ("file:///elsewhere/mlruns", "file:///elsewhere/mlruns"),
        ("databricks", "databricks"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("postgresql://user@host/runs", "postgresql://user@host/runs"),
    ],
)
def test_an_address_names_one_store(
    folder: str, uri: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert address.tracking_uri() == expected.format(root=tmp_path)


@pytest.mark.parametrize("uri", ["mlruns", "file:mlruns"])
def test_a_folder_is_refused_with_what_to_use(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name for path in ROOT.iterdir()}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingError, match=r"a folder.*MLFLOW_TRACKING_URI=sqlite:///mlflow\.db"):
        Store()
    assert {path.name for path in ROOT.iterdir()} == before
