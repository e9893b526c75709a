"""The MLflow UI over the tracking store."""

import argparse
import os
import sys

from pipeline.commands import arguments
from pipeline.tracking import address


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    arguments.add_address(parser, port=5000)


def main(host: str, port: int) -> None:
    """Become `mlflow ui`, listening on `host`: this machine alone unless asked otherwise.

    A store that is a server has a UI of its own.
    """
    uri = address.tracking_uri()
    if uri.startswith(("http://", "https://")):
        print(f"MLflow UI: {address.redacted(uri)}, the server that MLFLOW_TRACKING_URI names")
        return
    # Eight processes for jobs that this pipeline has none of.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    print(f"MLflow UI: http://{host}:{port} (Ctrl-C ends it)", flush=True)
    os.execv(
        sys.executable,
        [
            *(sys.executable, "-m", "mlflow", "ui"),
            *("--backend-store-uri", uri),
            *("--host", host, "--port", str(port)),
            *("--workers", "1"),  # one person looks; the default of 4 each import MLflow for 3 s
        ],
    )
