"""OpenSSH and PostgreSQL as Debian has them, and an S3 server, on loopback ports.

The first two run in folders of their own as somebody who is not root: PostgreSQL insists, and
OpenSSH then needs nothing outside its folder. The S3 server is moto's, a mock: it answers what
clients send over HTTP, keeps it in memory, and asks nobody for a valid signature.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import psycopg
import pytest

from tests.whole.mlflow_server import free_port, until
from tests.whole.serving import answers

IS_ROOT = os.geteuid() == 0
ACCOUNT = pwd.getpwnam("nobody") if IS_ROOT else pwd.getpwuid(os.geteuid())


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of ACCOUNT's; pytest's own are below one that nobody else may enter."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        if IS_ROOT:
            os.chown(path, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        yield path


def program(name: str, package: str) -> str:
    """The path of a program; the test is skipped where it is not installed."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders = [os.environ["PATH"], "/usr/sbin", *map(str, versions)]
    if found := shutil.which(name, path=os.pathsep.join(folders)):
        return found
    pytest.skip(f"found no {name}: install Debian's {package}")


def start(*command: str, cwd: Path) -> subprocess.Popen[bytes]:
    """Start `command` as ACCOUNT; what it prints is in the file `log`."""
    with (cwd / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=cwd,
            stdout=log,
            stderr=log,
            user=ACCOUNT.pw_uid if IS_ROOT else None,
            group=ACCOUNT.pw_gid if IS_ROOT else None,
            extra_groups=[] if IS_ROOT else None,
            start_new_session=True,
        )


class PostgreSQL:
    """A PostgreSQL server.

    Attributes:
        variables: what tells its clients the password.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self.variables = {"PGPASSFILE": os.fspath(folder / "passwords")}
        self._command = program("postgres", "postgresql")
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "password").write_text(self.password)
        (folder / "passwords").write_text(f"127.0.0.1:{self.port}:*:mlflow:{self.password}\n")
        (folder / "passwords").chmod(0o600)  # others' are ignored
        if IS_ROOT:
            os.chown(folder / "password", ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        # Without UTF-8, which initdb does not choose where the locale is C, MLflow gets bytes.
        options = ("--username=mlflow", "--auth=scram-sha-256", "--pwfile=password")
        initdb = (
            program("initdb", "postgresql"),
            "--pgdata=data",
            "--no-locale",
            "--encoding=UTF8",
        )
        made = start(*initdb, *options, cwd=folder).wait()
        assert made == 0, (folder / "log").read_text()

    def start(self) -> None:
        """Let it answer: for the first time, or again, with what it has on disk."""
        where = ("-D", "data", "-k", os.fspath(self.folder), "-h", "127.0.0.1")
        self._process = start(self._command, *where, "-p", str(self.port), cwd=self.folder)
        until(self._answers, "PostgreSQL answers")

    def crash(self) -> None:
        """End it at once, without writing what it has in memory."""
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._process = None

    def database(self, name: str) -> str:
        """The address of a new, empty database, without the password."""
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://mlflow@127.0.0.1:{self.port}/{name}"

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname="postgres",
            user="mlflow",
            password=self.password,
            autocommit=True,
        )

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server that answers."""
    with folder() as place:
        server = PostgreSQL(place)
        try:
            server.start()
            yield server
        finally:
            server.crash()


@contextmanager
def openssh() -> Iterator[dict[str, str]]:
    """The options of a DVC remote on an SSH server that lets one key in, for SFTP alone."""
    with folder() as place:
        port = free_port()
        for key in ("host_key", "key"):
            keygen = program("ssh-keygen", "openssh-client")
            made = start(keygen, "-q", "-t", "ed25519", "-N", "", "-f", key, cwd=place).wait()
            assert made == 0, (place / "log").read_text()
        # PAM, since OpenSSH by itself lets no account in that has no password, whatever the key.
        (place / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {place}/host_key\nPidFile none\n"
            f"AuthorizedKeysFile {place}/key.pub\nStrictModes no\nUsePAM yes\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "Subsystem sftp internal-sftp\nForceCommand internal-sftp\n"
        )
        sshd = program("sshd", "openssh-server")
        process = start(sshd, "-D", "-e", "-f", f"{place}/sshd_config", cwd=place)

        def listens() -> bool:
            assert process.poll() is None, (place / "log").read_text()
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        try:
            until(listens, "the SSH server listens")
            yield {
                "url": f"ssh://127.0.0.1:{port}{place}/remote",
                "user": ACCOUNT.pw_name,
                "keyfile": f"{place}/key",
            }
        finally:
            process.terminate()
            process.wait()


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """The options of a DVC remote in a new bucket of an S3 server."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

        def is_up() -> bool:
            if process.poll() is not None:
                log.seek(0)
                raise AssertionError(log.read().decode())
            return answers(f"{url}/moto-api/")

        try:
            until(is_up, "the S3 server answers")
            keys = {"access_key_id": "tester", "secret_access_key": secrets.token_hex(8)}
            client = boto3.client(
                "s3",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id=keys["access_key_id"],
                aws_secret_access_key=keys["secret_access_key"],
            )
            client.create_bucket(Bucket="store")
            yield {"url": "s3://store/dvc", "endpointurl": url, **keys}
        finally:
            process.terminate()
            process.wait()
