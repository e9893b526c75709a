"""MLflow hears of trials from a thread of its own, so that no store can hold up or end a sweep."""

import queue
import sys
import threading
from collections.abc import Callable
from functools import partial

from pipeline.errors import TrackingError
from pipeline.tracking.live import UNTRACKED
from pipeline.tracking.store import faults_reported
from pipeline.tracking.trial_runs import Group, Summary, TrialRuns
from pipeline.tracking.trials import Trial


class Recorder:
    """Logs the trials of `group` as they end."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.runs: TrialRuns | None = None
        self.fault = ""
        self.ended: queue.SimpleQueue[Trial | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._record, daemon=True)
        self.thread.start()

    def add(self, trial: Trial) -> None:
        """Log `trial` when the store has time."""
        self.ended.put(trial)

    def complete(self, trials: list[Trial], summary: Summary, remedy: str) -> None:
        """Log what came of it all, and what the store has missed before; else say so in a line."""
        self.ended.put(None)
        self.thread.join()

        def log(runs: TrialRuns) -> None:
            for trial in trials:
                runs.add(trial)
            runs.complete(summary)

        self._try(log)
        if self.fault:
            print(f"{UNTRACKED}{self.group.id} ({self.fault}); {remedy}", file=sys.stderr)

    def _record(self) -> None:
        self._try(lambda _: None)
        while trial := self.ended.get():
            if not self.fault:  # one that is away is tried again in the end, and not for each
                self._try(partial(TrialRuns.add, trial=trial))

    def _try(self, log: Callable[[TrialRuns], None]) -> None:
        try:
            with faults_reported():
                self.runs = self.runs or TrialRuns(self.group)
                log(self.runs)
        except TrackingError as error:
            self.fault = str(error)
            self.runs = None  # found anew, without the run that is half made
        else:
            self.fault = ""
