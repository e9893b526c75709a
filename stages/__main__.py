"""Run one stage: `python stages train_classifier`. DVC does so; see dvc.yaml.

The params are checked and the runtime is pinned before NumPy and TensorFlow are imported: a mistake
is reported at once, and no library starts with other settings.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from pipeline.params import PipelineParams
    from pipeline.training.declaration import Training


def main(arguments: list[str]) -> None:
    """Check params.yaml, pin the runtime, run the stage that `arguments` name."""
    import argparse
    import importlib

    from pipeline import errors, stage_files
    from pipeline.outs import environment, runtime
    from pipeline.params import PARAMS, load_params

    parser = argparse.ArgumentParser(prog="python stages", description="Run one stage.")
    with errors.reported():
        parser.add_argument("stage", choices=stage_files.names())
        stage = parser.parse_args(arguments).stage
        params = load_params(PARAMS)
        known = environment.recorded()
        runtime.pin(params.runtime)
        module = importlib.import_module(f"stages.{stage}")
        if hasattr(module, "TRAINING"):
            _train(stage, module.TRAINING, params)
        else:
            module.main(params, params.section(stage))
        environment.record(params.runtime, known)


def _train(stage: str, training: "Training", params: "PipelineParams") -> None:
    """Train on the images of data/prepared; write what came of it, and log the run."""
    from pipeline.data import datasets
    from pipeline.outs import runtime

    runtime.start_tensorflow(params.seed, params.runtime)

    from pipeline import progress
    from pipeline.outs import dvc_lock, model_archive, paths
    from pipeline.tracking.live import LiveRun
    from pipeline.training.checkpoints import Checkpoint
    from pipeline.training.declaration import Task

    def announce(model: "keras.Model") -> None:
        model_archive.check(model)
        print(model_archive.structure(model))

    section = params.section(stage)
    with Checkpoint(stage, params.runtime) as checkpoint, LiveRun(stage) as live:
        task = Task(
            section,
            params,
            datasets.load(paths.PREPARED),
            checkpoint=checkpoint,
            on_model=announce,
            on_epoch=[progress.reporter(section.epochs), live.log_epoch],
        )
        with dvc_lock.held(checkpoint.inputs):
            trained = training.train(task)
        trained.write(stage)
        print(progress.result(trained.metrics), flush=True)
        live.complete()


def _own_python() -> Path | None:
    """The project's own Python, where it has one and this is another.

    DVC may be an editor's or pipx's, and takes whichever `python3` is first on PATH.
    """
    from pipeline.outs import paths

    environment = paths.root() / ".venv"
    if environment.resolve() == Path(sys.prefix).resolve():
        return None
    python = environment / "bin/python"
    return python if python.exists() else None


if __name__ == "__main__":
    # The packages lie beside this one, in which Python looks.
    sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))
    if python := _own_python():
        os.execv(python, [os.fspath(python), "stages", *sys.argv[1:]])
    main(sys.argv[1:])
