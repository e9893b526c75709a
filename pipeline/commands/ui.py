"""The MLflow UI over the tracking store."""

import argparse
import os
import sys

from pipeline.commands import arguments
from pipeline.tracking import address
from pipeline.tracking.store import Store, faults_reported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    arguments.add_address(parser, port=5000)


def main(host: str, port: int) -> None:
    """Become `mlflow ui`, listening on `host`: this machine alone unless asked otherwise.

    A store that is a server has a UI of its own.

    Raises:
        ParamsError: params.yaml is wrong.
        TrackingError: the store can't be reached, or fails.
    """
    uri = address.tracking_uri()
    if uri.startswith(("http://", "https://")):
        print(f"MLflow UI: {address.redacted(uri)}, the server that MLFLOW_TRACKING_URI names")
        return

    with faults_reported():
        Store()  # MLflow tells what is wrong with one in a traceback
    # Eight processes for jobs that this pipeline has none of.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    # It may hold a password, which a command line would show to everyone.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    print(f"MLflow UI: http://{host}:{port} (Ctrl-C ends it)", flush=True)
    os.execv(
        sys.executable,
        [
            *(sys.executable, "-m", "mlflow", "ui"),
            *("--host", host, "--port", str(port)),
            *("--workers", "1"),  # one person looks; the default of 4 each import MLflow for 3 s
        ],
    )
