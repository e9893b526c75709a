"""`make serve`: a champion answers over HTTP, from MLflow's own scoring server."""

import argparse
import os
import sys
from pathlib import Path

from pipeline.commands import arguments
from pipeline.outs import variables
from pipeline.params import PARAMS, load_params
from pipeline.tracking import model_package, registry
from pipeline.tracking.store import Store, faults_reported
from pipeline.training.declaration import trainings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument(
        "--stage", choices=list(trainings()), default="train_classifier", help="(%(default)s)"
    )
    arguments.add_address(parser, port=5001)


def main(*, stage: str, host: str, port: int) -> None:
    """Become `mlflow models serve`, listening on `host`: this machine alone unless asked otherwise.

    Args:
        stage: the training whose champion answers.
        host: address to listen on.
        port: port to listen on.

    Raises:
        ParamsError: params.yaml is wrong.
        LockError: the champion is linked, and DVC has its file no more.
        PromotionError: the model has no champion, or the champion's files are lost.
        TrackingError: the store can't be reached, or fails.
    """
    params = load_params(PARAMS)
    with faults_reported():
        store = Store(make=False)
        name, version = registry.serving(store, stage)
        model = model_package.local(store, name, version)
    print(
        f"{name} version {version}: http://{host}:{port}/invocations (Ctrl-C ends it)", flush=True
    )
    # What the metrics were measured with, so that answers are the same; the address of the store
    # may hold a password, which a command line would show to everyone.
    kept = {key: value for key, value in os.environ.items() if key not in variables.DROPPED}
    environment = {
        **kept,
        **variables.pins(params.runtime),
        "TF_NUM_INTRAOP_THREADS": str(params.runtime.threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "MLFLOW_TRACKING_URI": store.uri,
        "MLFLOW_REGISTRY_URI": store.uri,
        # MLflow starts `uvicorn` by its name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    os.execve(
        sys.executable,
        [
            *(sys.executable, "-m", "mlflow", "models", "serve"),
            *("--model-uri", model),
            *("--env-manager", "local"),  # this environment: nothing to install
            *("--host", host, "--port", str(port), "--workers", "1"),
        ],
        environment,
    )
