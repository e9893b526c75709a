"""Many trainings at once, on this machine's cores or a cluster's; only this package imports Ray.

Ray Tune hands trials to workers and survives the loss of one; Optuna searches. What is ours is what
a trial is, and what is kept of it.
"""

import os

from pipeline.errors import SweepError

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray would otherwise send statistics over the network
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # a trial is kept by us, once (`trials`)
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # nor are its tables printed: `verbose=0` hides the old ones
os.environ["TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S"] = "1e9"  # a full cluster is no fault
if not os.environ.get("RAY_ADDRESS"):
    # Named after other systems, it is what makes a Ray of one machine listen on loopback alone.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

try:
    import ray  # noqa: F401
except ImportError as error:
    raise SweepError(f"{error}; `make` installs Ray, or pip with the extra 'sweep'") from None
