"""The tracking store is the same from everywhere in a repository."""

from pathlib import Path

import pytest

from pipeline.tracking import address


@pytest.mark.parametrize("folder", ["", ".dvc/tmp/exps/tmp123"])
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("", "sqlite:///{root}/mlflow.db"),
        ("sqlite:///mlflow.db", "sqlite:///{root}/mlflow.db"),
        ("sqlite:///a folder/runs.db", "sqlite:///{root}/a folder/runs.db"),
        ("sqlite:////elsewhere/mlflow.db", "sqlite:////elsewhere/mlflow.db"),
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
