"""What the three trainings have in common as stages: all but the activity itself."""

from pipeline import artifacts, datasets, layout, runtime
from pipeline.activities.task import Activity, Task
from pipeline.checkpoints import Checkpoint
from pipeline.params import Params
from pipeline.progress import reporter
from pipeline.tracking.live import LiveRun


def run(stage: str, train: Activity, params: Params, epochs: int) -> None:
    """Start TensorFlow, load the images, train; write what came of it, and log the run."""
    runtime.start_tensorflow(params.seed, params.runtime)
    dataset = datasets.load(layout.PREPARED)

    with Checkpoint(stage, params.runtime) as checkpoint, LiveRun(stage) as live:
        task = Task(
            params,
            dataset,
            checkpoint=checkpoint,
            on_model=lambda model: print(artifacts.structure(model)),
            on_epoch=[reporter(epochs), live.log_epoch],
        )
        trained = train(task)
        trained.write(stage)
        live.complete()
