"""The results as a table, from the metrics files."""

from typing import Any

from pipeline import artifacts, layout
from pipeline.tables import table

HEADINGS = ("model", "train loss", "held-out error", "parameters", "code size", "probe", "epochs")


def results() -> str:
    """A table of the three models, and the epoch at which the classifier reached its target."""
    metrics = {stage: artifacts.read_metrics(layout.metrics(stage)) for stage in layout.TRAININGS}
    classifier = metrics["train_classifier"]
    reached = classifier["epochs_to_target"] or "not reached"
    return (
        f"{table([HEADINGS, *(_row(stage, values) for stage, values in metrics.items())])}\n\n"
        f"epochs_to_target (classifier): {reached}; right in the end: "
        f"{classifier['train_accuracy']:.1%} of training images, "
        f"{classifier['test_accuracy']:.1%} of test images"
    )


def _row(stage: str, metrics: dict[str, Any]) -> tuple[str, ...]:
    if "test_accuracy" in metrics:
        error, code, probe = f"{1 - metrics['test_accuracy']:.2%} wrong", "", ""
    else:
        error = f"{metrics['test_bce']:.4f} bce"
        code, probe = f"{metrics['code_size']:,}", f"{metrics['probe_accuracy']:.1%}"
    return (
        layout.model(stage).stem,
        f"{metrics['train_loss']:.4f}",
        error,
        f"{metrics['parameters']:,}",
        code,
        probe,
        str(metrics["epochs"]),
    )
