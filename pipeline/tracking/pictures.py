"""The figures of a training, on its run, where MLflow's charts show those of several side by side.

A stage that comes after the trainings draws them, in a folder a model of its `ARTIFACTS`.
"""

import tempfile
from pathlib import Path

from mlflow.entities import Run
from PIL import Image

from pipeline import stage_files
from pipeline.outs import artifacts, dvc_lock, paths
from pipeline.outs.artifacts import Row
from pipeline.tracking.store import Store
from pipeline.training.declaration import trainings

CURVE = "training_curve.png"  # as the stage's own is called
DIGEST = "dvc.figures"  # the tag with the md5 of the folder that a run has the pictures of


def attach(store: Store) -> None:
    """Log the figures of the working tree on the runs of the trainings that they are of, once.

    Where params.yaml has them linked instead of copied, none is.
    """
    if store.settings.artifacts == "reference":
        return
    for folders in stage_files.declared("ARTIFACTS").values():
        for stage in trainings():
            for folder in folders:
                own = folder / paths.model(stage).stem
                # Drawn of the outs that are here, and so the run's that made these.
                if own.is_dir() and (run := store.finished(dvc_lock.current(stage).fingerprint)):
                    log(store, run, own)


def log(store: Store, run: Run, folder: Path) -> None:
    """Log the files of `folder` on `run`, unless the run has these very files already."""
    (md5,) = dvc_lock.hashes([str(folder)]).values()
    if run.data.tags.get(DIGEST) == md5:
        return
    for path in sorted(folder.iterdir()):
        _log(store, run, path)
    store.client.set_tag(run.info.run_id, DIGEST, md5)


def log_curve(store: Store, run: Run, stage: str, history: list[Row]) -> None:
    """Log the curve of a training of `stage` on `run`; drawn here, since no stage draws a trial's.

    Args:
        store: where the run is.
        run: of the trial.
        stage: that it is a training of.
        history: its rows, one an epoch.
    """
    from pipeline.figures import style
    from pipeline.figures.curves import panels, training_curves

    training = trainings()[stage]
    with style.applied(usetex=False), tempfile.TemporaryDirectory() as folder:
        figure = training_curves(panels(training.title, training.output, history))
        artifacts.write_figure(Path(folder) / CURVE, figure)
        _log(store, run, Path(folder) / CURVE)


def _log(store: Store, run: Run, path: Path) -> None:
    """As a file, which keeps its bytes, and as what charts can show."""
    store.client.log_artifact(run.info.run_id, str(path))
    with Image.open(path) as image:
        store.client.log_image(run.info.run_id, image, key=path.stem, step=0)
