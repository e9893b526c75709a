"""MLflow follows the files: a run is made of what a stage wrote, and can be made again from it.

Only this package imports mlflow, and nothing in it can change an out of a stage.
"""

import os

# MLflow would otherwise send usage statistics over the network.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# It prints an address before it marks a run as ended: a follower whose stage has been killed writes
# to no one, and would fail there.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
