"""`make promote`: what dvc.lock names is registered, and becomes champion if it is better."""

import argparse

from pipeline.commands import arguments
from pipeline.errors import LockError, PromotionError
from pipeline.outs import dvc_lock
from pipeline.params import PARAMS, Gate, load_params
from pipeline.tracking import gate, registry
from pipeline.tracking.registry import ROLLED_BACK
from pipeline.tracking.store import MAKES_RUNS, Store, faults_reported
from pipeline.training.declaration import Training, trainings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument("--stage", choices=list(trainings()), help="promote its model alone")
    parser.add_argument(
        "--to",
        type=arguments.count,
        metavar="VERSION",
        help="make this one champion by hand; needs --stage",
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing, say what would be")


def main(*, stage: str | None, to: int | None, dry_run: bool) -> None:
    """Promote what dvc.lock names, or move the alias by hand; say what was done.

    Args:
        stage: this training's model alone; needed with `to`.
        to: the version that becomes champion, whatever the gate says.
        dry_run: write nothing, say what would be done.

    Raises:
        ParamsError: params.yaml is wrong, the gate in it perhaps.
        PromotionError: a line for each model that was refused, or has no result, after all were
            tried.
        TrackingError: the store can't be reached, or fails.
    """
    if to and not stage:
        raise PromotionError("--to needs --stage: each model numbers its own versions")
    gates = load_params(PARAMS).promotion
    known = trainings()
    refused: list[str] = []
    with faults_reported():
        store = Store(make=False)
        for name in [stage] if stage else known:
            model = registry.model_name(store, name)
            try:
                if to is None:
                    chosen = getattr(gates, name) or Gate(metric=known[name].gate, margin=0)
                    done = _promote(store, name, known[name], chosen, dry_run=dry_run)
                else:
                    done = _move(store, model, to, dry_run=dry_run)
            except (LockError, PromotionError) as error:
                refused.append(f"{model}: {error}")
            else:
                print(f"{model}: {done}{' (dry run: nothing is written)' if dry_run else ''}")
    if refused:
        raise PromotionError("\n".join(refused))


def _promote(store: Store, stage: str, training: Training, chosen: Gate, *, dry_run: bool) -> str:
    state, name = dvc_lock.locked(stage), registry.model_name(store, stage)
    run = store.finished(state.fingerprint)
    if run is None:
        raise PromotionError(f"found no run of what dvc.lock names, expected one; {MAKES_RUNS}")
    versions, champion = registry.versions(store, name), registry.champion(store, name)
    fingerprints = {tags.get("dvc.fingerprint"): number for number, tags in versions.items()}
    if known := fingerprints.get(state.fingerprint):
        number = known
    else:
        registry.check_outs(store, state, run)
        number = max(versions, default=0) + 1
        if not dry_run:
            number = registry.register(store, state, run)
    tags = versions.get(number) or registry.tags_of(state, run)
    if number == champion:
        return f"version {number} is champion already"
    if back := tags.get(ROLLED_BACK):
        raise PromotionError(
            f"version {number} was rolled back to {back} and does not become champion; "
            f"`python -m pipeline promote --stage {stage} --to {number}` makes it so"
        )
    figures = gate.check(
        chosen,
        training.metric(chosen.metric),
        registry.version(number, tags),
        registry.version(champion, versions[champion]) if champion else None,
    )
    if not dry_run:
        registry.set_champion(store, name, number)
    return f"version {number} becomes champion: {figures}"


def _move(store: Store, name: str, to: int, *, dry_run: bool) -> str:
    versions, champion = registry.versions(store, name), registry.champion(store, name)
    if to not in versions:
        there = ", ".join(map(str, sorted(versions))) or "none yet"
        raise PromotionError(f"found no version {to}, expected one of those there: {there}")
    if to == champion:
        return f"version {to} is champion already"
    left = [number for number in sorted(versions) if to < number <= (champion or 0)]
    if not dry_run:
        for number in left:
            store.client.set_model_version_tag(name, str(number), ROLLED_BACK, str(to))
        registry.set_champion(store, name, to)
    back = f"; rolled back: {', '.join(map(str, left))}" if left else ""
    return f"version {to} becomes champion{back}"
