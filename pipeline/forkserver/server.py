"""The server of a program: `python -m pipeline.forkserver.server PROGRAM DESCRIPTOR`.

It has computed nothing when it forks, and no Python thread but its one, so a copy of it is as good
as new. The copy takes environment, folder and streams of who asked for it.
"""

import fcntl
import importlib
import json
import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from pipeline.forkserver.client import LONGEST, STREAMS
from pipeline.outs import runtime
from pipeline.params import PARAMS, load_params


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
    "dvc": Program(
        (
            *("dvc.cli", "dvc.cli.parser", "dvc.lock", "dvc.repo.datasets", "dvc.repo.open_repo"),
            *("dvc.repo.reproduce", "dvc.repo.status", "pyparsing"),
        )
    ),
    "stages": Program(
        (
            *("stages.__main__", "pipeline.progress", "pipeline.tracking.live"),
            *("pipeline.training.fit", "pipeline.training.evaluation"),
            *("pipeline.outs.model_archive", "pipeline.figures.pool", "pipeline.figures.neuron"),
            *("pipeline.figures.classification", "pipeline.figures.codes"),
            *("pipeline.figures.curves", "pipeline.figures.digits"),
        ),
        used=("matplotlib",),
        pinned=True,
    ),
    "pipeline.tracking.follow": Program(
        (
            "pipeline.tracking.follow",
            "pipeline.tracking.runs",
            "mlflow.store.tracking.sqlalchemy_store",
            "mlflow.store.model_registry.sqlalchemy_store",
        ),
        used=("pandas",),
    ),
}


class Request(NamedTuple):
    """A process that a client has asked for."""

    message: bytes
    streams: list[int]
    client: socket.socket

    def become(self) -> list[str]:
        """Be that process; its arguments."""
        request = json.loads(self.message)
        for number, stream in enumerate(self.streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ |= request["environment"]
        os.chdir(request["folder"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if request["outlives"]:
            os.setsid()
        else:
            # The client's end closes when it ends, however it does; SIGIO then ends this process.
            fcntl.fcntl(self.client, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(self.client, fcntl.F_SETFL, os.O_ASYNC)
            if select.select([self.client], [], [], 0)[0]:  # it closed before
                sys.exit()
        arguments: list[str] = request["arguments"]
        return arguments


def main(program: str, listener: socket.socket) -> None:
    """Import what `program` needs, and make a process of it for each request, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # those of the terminal are for the copies
    needed = PROGRAMS[program]
    if needed.pinned:
        runtime.pin(load_params(PARAMS).runtime)
    with runtime.lean_import(used=needed.used):
        entry, *_ = [importlib.import_module(name) for name in needed.modules]
    run: Callable[[list[str]], int | None] = entry.main
    if request := _serve(listener):
        sys.argv = [program, *request.become()]
        sys.exit(run(sys.argv[1:]))


def _serve(listener: socket.socket) -> Request | None:
    """Fork for each request. Returns it in the copy; in the server, None in the end."""
    with selectors.DefaultSelector() as selector, listener:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        copies: dict[int, tuple[int, socket.socket]] = {}  # process and client, by pidfd
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return None
                if key.fileobj is listener:
                    client, _ = listener.accept()
                    message, streams, *_ = socket.recv_fds(client, LONGEST, len(STREAMS))
                    if not message:  # it has died
                        client.close()
                        continue
                    if not (pid := os.fork()):
                        for _, other in copies.values():
                            other.close()
                        return Request(message, streams, client)
                    for stream in streams:
                        os.close(stream)
                    _tell(client, pid)
                    descriptor = os.pidfd_open(pid)
                    copies[descriptor] = pid, client
                    selector.register(descriptor, selectors.EVENT_READ)
                else:
                    pid, client = copies.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _, status = os.waitpid(pid, 0)
                    _tell(client, os.waitstatus_to_exitcode(status))
                    client.close()


def _tell(client: socket.socket, number: int) -> None:
    with suppress(OSError):  # it has died
        client.send(str(number).encode())


if __name__ == "__main__":
    main(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
