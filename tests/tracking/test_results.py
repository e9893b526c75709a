"""What is taken from a run of the store."""

from mlflow.entities import Metric, Run, RunData, RunInfo, RunTag

from pipeline.tracking import results


def _run(stage: str, **logged: float) -> Run:
    info = RunInfo("1f", "1", "somebody", "FINISHED", 1_764_000_000_000, None, "active")
    metrics = [Metric(name, value, 0, 0) for name, value in logged.items()]
    return Run(info, RunData(metrics, [], [RunTag("dvc.stage", stage)]))


def test_what_a_run_has_by_epoch_is_no_final_metric() -> None:
    logged = {"test_loss": 0.0758, "epochs": 100.0, "test_bce": 0.0758, "epoch_seconds": 0.34}
    tracked = results.tracked(_run("train_dense_ae", **logged))
    assert list(tracked.metrics.items()) == [("test_bce", 0.0758), ("epochs", 100)]


def test_a_count_is_a_whole_number_though_the_store_has_none() -> None:
    tracked = results.tracked(_run("train_classifier", epochs=30.0, test_accuracy=1.0))
    assert {name: type(value) for name, value in tracked.metrics.items()} == {
        "epochs": int,
        "test_accuracy": float,
    }


def test_a_run_of_a_stage_that_dvc_yaml_has_no_more_is_shown_without_metrics() -> None:
    tracked = results.tracked(_run("train_of_old", epochs=30.0))
    assert (tracked.kind, tracked.metrics) == ("train_of_old", {})
