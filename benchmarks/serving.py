"""The classifier over HTTP, beside the same model as MLflow's own Keras flavor serves it."""

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import processes
from benchmarks.sizes import Sizes
from pipeline.errors import StageFailed
from pipeline.outs import paths

PACKAGES = ("this_pipeline", "keras_flavor")
CLIENTS = 8
MANY = 1000  # images in one large request
PATIENCE = 180  # seconds until a server has to answer
Figures = dict[str, float]


def measure(sizes: Sizes) -> dict[str, Any]:
    """Latency and throughput of each server, each started anew, and its memory."""
    images = np.load(paths.PREPARED / "test_images.npy", mmap_mode="r")[:MANY]
    one, many = (_body(images[:count]) for count in (1, MANY))
    servers = {}
    busy = processes.busy()
    began, own = time.perf_counter(), -time.process_time()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        own += processes.run(sys.executable, "-m", "benchmarks.packages", folder).core_seconds
        for package in PACKAGES:
            with _server(folder / package) as server:
                servers[package] = _measured(server, one, many, sizes.requests)
                own += server.core_seconds()
            print(f"{package}: {servers[package]}", flush=True)
    seconds = time.perf_counter() - began
    own += time.process_time()
    elsewhere = max(processes.busy() - busy - own, 0) / seconds
    return {"servers": servers, "requests": sizes.requests, "elsewhere": elsewhere}


class _Server:
    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port, self.process = port, process

    def ask(self, bodies: list[bytes]) -> list[float]:
        """Send each of `bodies` over one connection; the seconds that each answer took."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        seconds = []
        for body in bodies:
            began = time.perf_counter()
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            seconds.append(time.perf_counter() - began)
            if answer.status != 200:
                raise StageFailed(f"the server answers {answer.status}, expected 200")
        connection.close()
        return seconds

    def memory_mib(self) -> float:
        """What its processes hold."""
        return sum(one.memory_info().rss for one in self._all()) / 2**20

    def core_seconds(self) -> float:
        """What its processes have used."""
        return sum(sum(one.cpu_times()[:2]) for one in self._all())

    def _all(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def _measured(server: _Server, one: bytes, many: bytes, requests: int) -> Figures:
    server.ask([one] * 10)
    before = server.memory_mib()
    alone = server.ask([one] * (requests // 10))
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = [[one] * (requests * 9 // 10 // CLIENTS)] * CLIENTS
        together = [seconds for share in pool.map(server.ask, shares) for seconds in share]
    rate = len(together) / (time.perf_counter() - began)
    after = server.memory_mib()
    large = server.ask([many] * max(requests // 500, 2))
    return {
        "one_ms": _ms(statistics.median(alone)),
        "one_p95_ms": _ms(statistics.quantiles(alone, n=20)[-1]),
        "one_rate": round(len(alone) / sum(alone), 1),
        "eight_ms": _ms(statistics.median(together)),
        "eight_p95_ms": _ms(statistics.quantiles(together, n=20)[-1]),
        "eight_rate": round(rate, 1),
        "many_ms": _ms(statistics.median(large)),
        "memory_mib": round(before),
        "memory_after_mib": round(after),
    }


@contextmanager
def _server(package: Path) -> Iterator[_Server]:
    """`mlflow models serve` of `package`, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (
        *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(package)),
        *("--env-manager", "local", "--port", str(port), "--workers", "1"),
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    log = package.with_suffix(".log")
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            # As `make serve` runs its own: one thread a request; TensorFlow's default took longer.
            env=processes.environment(
                {"PATH": path, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
            ),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(port):
            if child.poll() is not None or time.monotonic() > deadline:
                raise StageFailed(f"no server answers: {log.read_text()[-500:]}")
            time.sleep(0.2)
        yield _Server(port, psutil.Process(child.pid))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        child.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _body(images: np.ndarray) -> bytes:
    return json.dumps({"inputs": images.tolist()}).encode()


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
