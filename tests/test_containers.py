"""The images and the compose file: nothing runs as root, is open to a network or holds a secret."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TARGETS = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_every_image_is_made_for_a_user_who_is_not_root() -> None:
    assert {"base", "environment", "pipeline", "serve"} == TARGETS
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["10001"]
    first = DOCKERFILE.split(" AS environment")[0]
    assert "USER 10001" in first  # of the base, so that every other one inherits it


def test_what_is_copied_into_an_image_is_there_and_belongs_to_that_user() -> None:
    copies = re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
    assert copies
    for owner, *paths in map(str.split, copies):
        assert owner == "--chown=10001"
        assert all((ROOT / path).exists() for path in paths[:-1])


@pytest.mark.parametrize("secret", [".env", ".dvc/config.local"])
def test_what_holds_passwords_is_neither_committed_nor_copied(secret: str) -> None:
    assert secret in (ROOT / ".dockerignore").read_text().splitlines()
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", "--no-index", secret], cwd=ROOT, check=False
    )
    assert ignored.returncode == 0


def test_every_service_has_an_image_at_a_version_or_a_target_of_the_dockerfile() -> None:
    for service in SERVICES.values():
        if "build" in service:
            assert service["build"]["target"] in TARGETS
        else:
            assert re.fullmatch(r"docker\.io/[\w/]+:\d[\d.]*", service["image"])
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)


def test_the_stores_are_reached_from_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_password_comes_from_outside_the_compose_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert re.match(r"\$\{\w+", value)


def test_the_dev_container_is_built_of_the_dockerfile_s_base() -> None:
    file = ROOT / ".devcontainer/devcontainer.json"
    build = json.loads(file.read_text())["build"]
    assert (file.parent / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert build["target"] in TARGETS
