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
from pipeline.outs.dvc_lock import StageState
from pipeline.tracking.store import Store
from pipeline.training.declaration import trainings

CURVE = "training_curve.png"  # as the stage's own is called
DIGEST = "dvc.figures"  # the tag with the md5 of the folder that a run has the pictures of


def attach(store: Store, drawing: StageState) -> None:
    """Log the figures that `drawing` has made on the runs of the trainings that they are of, once.

    None are, where params.yaml has them linked instead of copied; nor where what lies here is not
    what `drawing` was made from, and made: they may be of models that were trained before.
    """
    made = drawing.deps | drawing.outs
    here = dvc_lock.hashes(path for path in made if Path(path).exists())
    if store.settings.artifacts == "reference" or here != made:
        return
    for stage in trainings():
        for folder in stage_files.declared("ARTIFACTS", [drawing.name])[drawing.name]:
            own, model = folder / paths.model(stage).stem, str(paths.model(stage))
            trained = dvc_lock.locked(stage)
            if not own.is_dir() or dvc_lock.hashes([model])[model] != trained.outs[model]:
                continue
            if run := store.finished(trained.fingerprint):
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
