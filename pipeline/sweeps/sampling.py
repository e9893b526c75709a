"""How the points of a search space are sampled, in Tune's and Optuna's terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from pipeline.sweeps import sweep_file
from pipeline.sweeps.sweep_file import Candidates, SweepFile
from pipeline.sweeps.worker import POINT
from pipeline.tracking.trials import Trial

GRACE = 10  # early stopping leaves each trial a tenth of its epochs


@dataclass(frozen=True)
class Search:
    """Where points come from.

    Attributes:
        space: candidates, as Tune has them.
        samples: how many to draw; of listed points, how often each.
        searcher: draws them; None: they are taken in order.
    """

    space: Mapping[str, Any]
    samples: int
    searcher: OptunaSearch | None = None


def listed(points: Sequence[Mapping[str, Any]]) -> Search:
    """These points, in order."""
    return Search({POINT: tune.grid_search([dict(point) for point in points])}, 1)


def rest(sweep: SweepFile, ended: Sequence[Trial], worst: float) -> Search:
    """What `sweep` asks for beyond the trials that have ended."""
    if sweep.searcher == "grid":
        tried = [trial.chosen for trial in ended]
        return listed([point for point in sweep_file.grid(sweep) if point not in tried])

    known: dict[str, Any] = {}
    if ended:
        # It goes on from what is known; with the same seed it would draw the same points again.
        known["points_to_evaluate"] = [
            {f"{POINT}/{key}": value for key, value in trial.chosen.items()} for trial in ended
        ]
        known["evaluated_rewards"] = [trial.reward(sweep.metric, worst) for trial in ended]
    return Search(
        {POINT: {key: _domain(found) for key, found in sweep.search.items()}},
        sweep.trials - len(ended),
        OptunaSearch(seed=sweep.seed + len(ended), **known),
    )


def early_stopping(epochs: int) -> ASHAScheduler:
    """Successive halving; not after the last epoch, when what is left to do is to measure."""
    last = max(epochs - 1, 1)
    grace = min(max(epochs // GRACE, 1), last)
    return ASHAScheduler("epoch", max_t=last, grace_period=grace, stop_last_trials=False)


def _domain(found: Candidates) -> Any:
    if found.choices is not None:
        return tune.choice(found.choices)
    low, high = found.values
    if found.integers is not None:
        return tune.randint(low, high + 1)
    return tune.uniform(low, high) if found.uniform is not None else tune.loguniform(low, high)
