"""Every command against a real MLflow server with basic auth, and the password in no place."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from tests.whole.mlflow_server import free_port
from tests.whole.repositories import Repository, copied, environment_of_a_user
from tests.whole.serving import post, serving

pytestmark = pytest.mark.exhaustive
pytest.importorskip("flask_wtf", reason="MLflow's basic auth needs Flask-WTF: `make test` has it")

USER, PASSWORD = "admin", f"{secrets.token_hex(8)}/@"  # of this run alone: it is in no file of ours
SECRETS = (PASSWORD.encode(), quote(PASSWORD, "").encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a server, with its port in the file `port`."""
    folder = tmp_path_factory.mktemp("remote")
    port = free_port()
    (folder / "port").write_text(str(port))
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder / 'auth.db'}\nadmin_username = {USER}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 60\n"  # else a slow hash is computed for every request
    )
    environment = environment_of_a_user() | {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    health = f"http://127.0.0.1:{port}/health"
    with serving(command, folder, environment, health, folder / "server.log"):
        yield folder


def test_everything_works_on_a_server_with_basic_auth_and_shows_no_password(
    repository: Repository, server: Path, tmp_path: Path
) -> None:
    clone = copied(repository, tmp_path / "clone")
    (clone.path / "mlflow.db").unlink()
    uri = f"http://127.0.0.1:{(server / 'port').read_text()}"
    signed_in = {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    }
    in_address = {"MLFLOW_TRACKING_URI": uri.replace("//", f"//{USER}:{quote(PASSWORD, '')}@")}

    def pipeline(command: str, environment: dict[str, str], code: int = 0) -> str:
        arguments = ("-m", "pipeline", *command.split())
        printed.append(clone.python(*arguments, code=code, **environment))
        return printed[-1]

    printed: list[str] = []
    assert len(pipeline("track", {"MLFLOW_TRACKING_URI": uri}, code=1).splitlines()) == 1
    # A stage that trains tells the server by itself.
    stage = ("repro", "--force", "--single-item", "train_dense_ae")
    printed.append(clone.python("-m", "dvc", *stage, code=0, **signed_in))
    assert "not in MLflow" not in printed[-1]
    assert pipeline("track", signed_in).count("run made") == 3
    assert pipeline("track", in_address).count("tracked") == 4
    assert pipeline("compare", signed_in) == pipeline("compare", in_address)
    assert printed[-1].count("train_dense_ae") == 1
    assert pipeline("promote --dry-run", in_address).count("version 1 becomes champion") == 3
    assert pipeline("promote", signed_in).count("version 1 becomes champion") == 3
    assert pipeline("promote", in_address).count("version 1 is champion already") == 3

    assert pipeline("ui", in_address).startswith(f"MLflow UI: {uri}, the server")

    for environment in (signed_in, in_address):
        port = free_port()
        with serving(
            [sys.executable, "-m", "pipeline", "serve", "--port", str(port)],
            clone.path,
            clone.environment() | environment,
            f"http://127.0.0.1:{port}/health",
            tmp_path / "serve.log",
        ):
            images = np.load(clone.path / "data/prepared/test_images.npy")[:3].tolist()
            status, answer = post(f"http://127.0.0.1:{port}/invocations", {"inputs": images})
            shown = list(command_lines())
        assert status == 200
        assert len(answer["predictions"]["class"]) == 3
        assert not any(secret in line for line in shown for secret in SECRETS)

    assert not (clone.path / "mlflow.db").exists()
    assert not any(secret in text.encode() for text in printed for secret in SECRETS)
    assert holding_a_secret(clone.path, server, tmp_path) == []


def command_lines() -> Iterator[bytes]:
    """The command line of each process of this machine, which anyone here can see."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            yield path.read_bytes()


def holding_a_secret(*folders: Path) -> list[Path]:
    """The files below `folders` that hold the password, in one form or another."""
    return [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in SECRETS)
    ]
