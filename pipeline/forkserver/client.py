"""How a process is asked for: of a server, if there is one."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

FOLDER = "PIPELINE_FORKSERVERS"  # the variable that names the folder of the servers' sockets
LONGEST = 2**17  # bytes of a message; of a request, nearly all is the environment
STREAMS = ("stdin", "stdout", "stderr")


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
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, signal.SIGKILL)

    def _hear(self, flags: int = 0) -> int:
        if self.returncode is None:
            # A server says nothing only if it was killed itself.
            self.returncode = int(self.server.recv(LONGEST, flags) or -signal.SIGKILL)
        return self.returncode


def copy(
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    outlives: bool,
    streams: Sequence[int | None],
) -> Copy | None:
    """Run `python -m PROGRAM ARGUMENTS`, if there is a server of it and it answers.

    Arguments are as those of `pipeline.processes.start`.
    """
    if FOLDER not in os.environ or not _address(program).exists():
        return None
    request = {
        "arguments": arguments,
        "environment": dict(environment),
        "folder": str(Path.cwd()),
        "outlives": outlives,
    }
    with suppress(OSError):  # a server that died, or too long a request: slower, but not worse
        return _requested(program, json.dumps(request).encode(), streams)
    return None


@contextmanager
def serving(*programs: str) -> Iterator[None]:
    """Have a server for each of `programs` while the block runs; blocks may lie in one another.

    Where sockets can't have their place (a long TMPDIR, say), there is none.
    """
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
    _open_streams()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        try:
            listener.bind(str(_address(program)))
        except OSError:
            listener.close()
            yield
            return
        listener.listen()  # from now on requests wait for it
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.forkserver.server", program, str(listener.fileno())],
            stdin=subprocess.PIPE,  # its end is the server's
            pass_fds=[listener.fileno()],
        )
    with process:
        yield


def _open_streams() -> None:
    """Open those of the standard streams that are closed: a socket would get the number of one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < len(STREAMS):
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _requested(program: str, request: bytes, streams: Sequence[int | None]) -> Copy:
    if len(request) > LONGEST:
        raise OSError
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.connect(str(_address(program)))
    theirs: dict[str, int] = {}
    pipes: dict[str, IO[bytes]] = {}
    with ExitStack() as sent:
        for number, (name, stream) in enumerate(zip(STREAMS, streams, strict=True)):
            match stream:
                case subprocess.PIPE:
                    ends = os.pipe()
                    theirs[name], own = ends if name == "stdin" else reversed(ends)
                    sent.callback(os.close, theirs[name])
                    pipes[name] = os.fdopen(own, "wb" if name == "stdin" else "rb")
                case subprocess.STDOUT:
                    theirs[name] = theirs["stdout"]
                case _:
                    theirs[name] = number
        socket.send_fds(server, [request], [theirs[name] for name in STREAMS])
    if not (pid := server.recv(LONGEST)):
        raise ConnectionResetError
    return Copy(server, int(pid), pipes)
