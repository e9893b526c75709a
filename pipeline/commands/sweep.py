"""`make sweep`: trainings over a search space, and which was best."""

import argparse
from contextlib import nullcontext
from pathlib import Path

from pipeline import params
from pipeline.errors import SweepError
from pipeline.outs import artifacts, paths
from pipeline.sweeps import cluster, params_text, ranking, sweep_file
from pipeline.sweeps.recorder import Recorder
from pipeline.sweeps.sweep import Sweep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument(
        "file", type=Path, nargs="?", default=paths.SWEEP_FILE, help="what to try (%(default)s)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted sweep")
    parser.add_argument("--apply", action="store_true", help="write the best params to params.yaml")


def main(*, file: Path, resume: bool, apply: bool) -> None:
    """Run the trials of `file` that have not ended yet; print all of them, and the best.

    Args:
        file: the sweep file.
        resume: go on with an interrupted sweep, or show a finished one again.
        apply: write the best trial's params into params.yaml.

    Raises:
        ParamsError: the file, or params.yaml, is wrong.
        DataError, LockError: the stage `prepare` has left nothing to train on.
        SweepError: no cluster; nothing to resume, something that would be lost, or another process
            that runs it; no trial that came to a result.
    """
    params.load_params(params.PARAMS)
    document = params.read(params.PARAMS)
    sweep = Sweep(file, sweep_file.load(file, document), document)
    dataset = cluster.prepared()
    with sweep.alone(resume=resume) as ended:
        left = len(ended) < sweep.asked.trials
        with cluster.cluster(sweep.settings.runtime, dataset) if left else nullcontext():
            if not resume:
                sweep.clear()  # not before there is a cluster: what it removes took hours
            recorder = Recorder(sweep.group)
            if left:
                sweep.run(dataset, ended, recorder)
        recorder.complete(ended, sweep.summary(ended), f"`{sweep.command} --resume` makes it up")

    finished = [trial for trial in ended if trial.status == "finished"]
    if ended:
        print(f"\n{ranking.table(ended, sweep.asked)}")
    if missing := sweep.asked.trials - len(ended):
        raise SweepError(
            f"{missing} of {sweep.asked.trials} trials have not ended; "
            f"`{sweep.command} --resume` goes on with them"
        )
    if not finished:
        raise SweepError(f"all {len(ended)} trials failed; the reasons are above")
    point = sweep.point(ranking.ranked(finished, sweep.asked)[0])
    print(f"\nthe best again: {ranking.command(point, sweep.asked.stage)}")
    if apply:
        text = params.PARAMS.read_text()
        artifacts.write_text(params.PARAMS, params_text.changed(text, point))
        print(f"written to {params.PARAMS}")
