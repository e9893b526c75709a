"""Where a result comes from, as its run says it: name, source, user, digests, and all hashes."""

import getpass
import hashlib
import io
import os
import re
import subprocess
from contextlib import suppress
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import UserError
from pipeline.outs import dvc_lock, paths
from pipeline.outs.dvc_lock import Hashes, StageState
from pipeline.params import PARAMS
from pipeline.tracking import trials

LOCK_ENTRY = "dvc.lock.yaml"  # the artifact with a stage's entry of dvc.lock
TEST_DATA = tuple(str(paths.PREPARED / f"test_{kind}.npy") for kind in ("images", "labels"))
OPTIMIZER = re.compile(r"((?:.+\.)?optimizer)\.(\w+)\.\w+$")  # a setting of one, by its kind
NAME_LENGTH = 80  # characters; more would not fit a legend


def tags(state: StageState) -> dict[str, str]:
    """What a run of `state` is found by, and where it comes from."""
    return {
        "dvc.stage": state.name,
        "dvc.fingerprint": state.fingerprint,
        **source_tags(state.cmd),
    }


def is_current(state: StageState) -> bool:
    """Whether the code, data and params of now give `state`."""
    try:
        return dvc_lock.current(state.name).fingerprint == state.fingerprint
    except UserError:  # a dep is missing, a param is not what it should be
        return False


def source_tags(cmd: str) -> dict[str, str]:
    """Where a run's code is, what was called, and by whom."""
    # What the stages write is on its way to being committed; all else that differs is "dirty".
    changes = _git("status", "--porcelain", "--", ".", ":!data", ":!dvc.lock", ":!environment.json")
    commit = _git("rev-parse", "HEAD").strip()
    tags = {
        "git.commit": commit,
        "git.dirty": str(bool(changes.strip())).lower(),
        # MLflow's own columns: Version, Source, Created by.
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": cmd,
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
    }
    if name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.experiment"] = name
    return tags


def run_name(state: StageState) -> str:
    """What distinguishes this run, and its model, or its stage.

    That is the name of the DVC experiment; or the params that differ from the committed ones,
    those of its own section first. It comes before the model, since legends cut off the end.
    """
    kind = paths.model(state.name).stem
    told = os.environ.get("DVC_EXP_NAME") or trials.label(_uncommitted(state), state.name)
    name = f"{told} {kind}".strip()
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def test_data_digest() -> str:
    """Of test images and labels together: a gate compares models that were measured on the same."""
    md5s = dvc_lock.hashes(TEST_DATA).values()
    return hashlib.md5(" ".join(md5s).encode()).hexdigest()  # noqa: S324


def lock_entry(state: StageState) -> str:
    """`state` in the form and order of dvc.lock: the command, and each dep, param and out."""

    def listed(hashes: Hashes) -> list[dict[str, str]]:
        return [{"path": path, "hash": "md5", "md5": md5} for path, md5 in sorted(hashes.items())]

    entry = {
        "cmd": state.cmd,
        "deps": listed(state.deps),
        "params": {str(PARAMS): dict(sorted(state.params.items()))},
        "outs": listed(state.outs),
    }
    text = io.StringIO()
    YAML(typ="rt").dump({"schema": "2.0", "stages": {state.name: entry}}, text)
    return text.getvalue()


def flat_params(state: StageState) -> dict[str, Any]:
    """Params by short names: the stage's own section without its name, so that runs line up.

    Settings of optimizers that were not used are left out.
    """
    return _chosen(
        {
            name: leaf
            for key, value in state.params.items()
            for name, leaf in dvc_lock.flat(value, "" if key == state.name else key)
        }
    )


def _uncommitted(state: StageState) -> dict[str, Any]:
    """The params of `state`, by dotted keys, that HEAD's params.yaml has other values for."""
    document: Any = {}
    with suppress(YAMLError):
        document = YAML(typ="safe").load(_git("show", f"HEAD:./{PARAMS}")) or {}
    committed = dict(dvc_lock.flat(document))
    if not committed:
        return {}  # no commit to compare with
    sections = sorted(state.params.items(), key=lambda section: section[0] != state.name)
    own = {name: leaf for key, value in sections for name, leaf in dvc_lock.flat(value, key)}
    return {name: leaf for name, leaf in _chosen(own).items() if committed.get(name) != leaf}


def _chosen(flat: dict[str, Any]) -> dict[str, Any]:
    kinds = {name: OPTIMIZER.match(name) for name in flat}
    return {
        name: leaf
        for name, leaf in flat.items()
        if not (kind := kinds[name]) or flat.get(f"{kind[1]}.name") == kind[2]
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
