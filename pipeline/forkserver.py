"""Processes that come with their slow imports done, as copies of one that did them.

`make repro` runs a dozen short Python processes, and an import takes each 1.7 core-seconds for
TensorFlow, as long for MLflow, 0.4 for DVC. Within `serving`, a server for each such program
imports its packages once, beside other work, and forks whenever the program is to be started.
Elsewhere `start` makes an ordinary process. Either way `python -m PROGRAM` runs, and does the same.

A server has computed nothing when it forks, and no Python thread but its one, so a copy of it is as
good as new. The copy takes environment, folder and streams of who asked for it.
"""

import fcntl
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from pipeline import layout

FOLDER = "PIPELINE_FORKSERVERS"  # the variable that names the folder of the servers' sockets
LONGEST = 2**17  # bytes of a message; of a request, nearly all is the environment
STREAMS = ("stdin", "stdout", "stderr")


class Program(NamedTuple):
    """What a program imports sooner or later.

    Attributes:
        modules: the first has its `main`.
        used: of those that `lean_import` hides, the ones that they need.
        pinned: the stages' runtime is pinned before.
    """

    modules: tuple[str, ...]
    used: tuple[str, ...] = ()
    pinned: bool = False


PROGRAMS = {
    "dvc": Program(("dvc.cli", "dvc.cli.parser", "dvc.repo.reproduce", "dvc.repo.status")),
    "stages": Program(
        ("stages.__main__", *(f"stages.{stage}" for stage in layout.STAGES)),
        used=("matplotlib",),
        pinned=True,
    ),
    "pipeline.tracking.follow": Program(
        (
            *("pipeline.tracking.follow", "pipeline.tracking.runs"),
            *(
                "mlflow.store.tracking.sqlalchemy_store",
                "mlflow.store.model_registry.sqlalchemy_store",
            ),
        ),
        used=("pandas",),
    ),
}


class Copy:
    """A process that a server made: what callers here need of `subprocess.Popen`.

    Attributes:
        pid: its own, not the server's.
        stdin: where it reads from, if that was to be a pipe.
        stdout: where it writes to, likewise.
        stderr: likewise.
        returncode: None while it runs, then its exit status; negative if a signal ended it.
    """

    def __init__(self, server: socket.socket, pid: int, pipes: Mapping[str, IO[bytes]]) -> None:
        self.server = server
        self.pid = pid
        self.stdin, self.stdout, self.stderr = map(pipes.get, STREAMS)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, if it has ended."""
        with suppress(BlockingIOError):
            self._hear(socket.MSG_DONTWAIT)
        return self.returncode

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self._hear()

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _hear(self, flags: int = 0) -> int:
        if self.returncode is None:
            # A server says nothing only if it was killed itself.
            self.returncode = int(self.server.recv(LONGEST, flags) or -signal.SIGKILL)
        return self.returncode


Process = Copy | subprocess.Popen[bytes]


def start(
    program: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    outlives: bool = False,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Process:
    """Run `python -m PROGRAM ARGUMENTS`.

    Args:
        program: one of `PROGRAMS`.
        arguments: its own.
        env: in place of the caller's environment.
        outlives: it goes on when its caller is killed, and gets none of the terminal's signals.
        stdin: as for `subprocess.Popen`: None, `PIPE`.
        stdout: likewise.
        stderr: likewise, or `STDOUT`.
    """
    if serves(program):
        request = {
            "arguments": arguments,
            "environment": dict(os.environ if env is None else env),
            "folder": str(Path.cwd()),
            "outlives": outlives,
        }
        with suppress(OSError):  # a server that died: slower, but not worse
            return _copy(program, json.dumps(request).encode(), (stdin, stdout, stderr))
    return subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        env=env,
        start_new_session=outlives,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def serves(program: str) -> bool:
    """Whether a server makes the processes of `program`."""
    return FOLDER in os.environ and _address(program).exists()


@contextmanager
def serving(*programs: str) -> Iterator[None]:
    """Have a server for each of `programs` while the block runs; blocks may lie in one another."""
    with ExitStack() as servers:
        if FOLDER not in os.environ:
            os.environ[FOLDER] = servers.enter_context(tempfile.TemporaryDirectory())
            servers.callback(os.environ.pop, FOLDER)
        for program in programs:
            servers.enter_context(_server(program))
        yield


def _address(program: str) -> Path:
    return Path(os.environ[FOLDER]) / program


@contextmanager
def _server(program: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(_address(program)))
        listener.listen()  # from now on requests wait for it
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.forkserver", program, str(listener.fileno())],
            stdin=subprocess.PIPE,  # its end is the server's
            pass_fds=[listener.fileno()],
        )
    with process:
        yield


def _copy(program: str, request: bytes, streams: tuple[int | None, ...]) -> Copy:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs: dict[str, int] = {}
    pipes: dict[str, IO[bytes]] = {}
    with ExitStack() as sent:
        for number, (name, stream) in enumerate(zip(STREAMS, streams, strict=True)):
            match stream:
                case subprocess.PIPE:
                    ends = os.pipe()
                    theirs[name], own = ends if name == "stdin" else reversed(ends)
                    sent.callback(os.close, theirs[name])
                    pipes[name] = os.fdopen(own, "wb" if name == "stdin" else "rb", buffering=0)
                case subprocess.STDOUT:
                    theirs[name] = theirs["stdout"]
                case _:
                    theirs[name] = number
        server.connect(str(_address(program)))
        socket.send_fds(server, [request], [theirs[name] for name in STREAMS])
    if not (pid := server.recv(LONGEST)):
        raise ConnectionResetError
    return Copy(server, int(pid), pipes)


def main(program: str, listener: socket.socket) -> None:
    """Import what `program` needs, and make a process of it for each request, until stdin ends."""
    from pipeline import runtime  # late, as a client needs to start fast
    from pipeline.params import load_params

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # those of the terminal are for the copies
    if PROGRAMS[program].pinned:
        runtime.pin(load_params(layout.PARAMS).runtime)
    with runtime.lean_import(used=PROGRAMS[program].used):
        modules = [importlib.import_module(name) for name in PROGRAMS[program].modules]
    entry: Callable[[list[str]], int | None] = modules[0].main
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    client, _ = listener.accept()
                    message, streams, _, _ = socket.recv_fds(client, LONGEST, len(STREAMS))
                    if pid := os.fork():
                        for stream in streams:
                            os.close(stream)
                        client.send(str(pid).encode())
                        selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, client))
                        continue
                    sys.exit(entry(_become(json.loads(message), streams, client)))
                pid, client = key.data
                selector.unregister(key.fileobj)
                os.close(key.fd)
                _, status = os.waitpid(pid, 0)
                with suppress(OSError), client:
                    client.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: dict[str, Any], streams: list[int], client: socket.socket) -> list[str]:
    """Be the process that was asked for; its arguments."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ |= request["environment"]
    os.chdir(request["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["outlives"]:
        os.setsid()
    else:
        # The client's end closes when the client ends, however it does; SIGIO then ends this one.
        fcntl.fcntl(client, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(client, fcntl.F_SETFL, os.O_ASYNC)
    arguments: list[str] = request["arguments"]
    sys.argv[1:] = arguments
    return arguments


if __name__ == "__main__":
    main(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
