"""The results as a table, from the metrics files."""

from typing import Any

from pipeline.outs import artifacts, paths
from pipeline.outs.tables import table
from pipeline.training.declaration import Training, trainings

HEADINGS = ("model", "train loss", "held-out error", "parameters", "code size", "probe", "epochs")


def results() -> str:
    """A table of the models, and the epoch at which each classifier reached its target."""
    known = trainings()
    found = {stage: artifacts.read_metrics(paths.metrics(stage)) for stage in known}
    rows = [_row(stage, known[stage], metrics) for stage, metrics in found.items()]
    notes = [
        f"epochs_to_target ({paths.model(stage).stem}): "
        f"{metrics['epochs_to_target'] or 'not reached'}; right in the end: "
        f"{metrics['train_accuracy']:.1%} of training images, "
        f"{metrics['test_accuracy']:.1%} of test images"
        for stage, metrics in found.items()
        if "epochs_to_target" in metrics
    ]
    return "\n".join([table([HEADINGS, *rows]), "", *notes]).rstrip()


def _row(stage: str, training: Training, metrics: dict[str, Any]) -> tuple[str, ...]:
    if training.output == "classes":
        error = f"{1 - metrics['test_accuracy']:.2%} wrong"
    else:
        error = f"{metrics['test_bce']:.4f} bce"
    return (
        paths.model(stage).stem,
        f"{metrics['train_loss']:.4f}",
        error,
        f"{metrics['parameters']:,}",
        f"{metrics['code_size']:,}" if "code_size" in metrics else "",
        f"{metrics['probe_accuracy']:.1%}" if "probe_accuracy" in metrics else "",
        str(metrics["epochs"]),
    )
