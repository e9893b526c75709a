"""`make promote`: what dvc.lock names is registered, and becomes champion if it is better."""

from pipeline import layout, lock
from pipeline.errors import PromotionError
from pipeline.gate import Gate, judged
from pipeline.params import load_params
from pipeline.tracking import registry
from pipeline.tracking.registry import ROLLED_BACK
from pipeline.tracking.store import MAKES_RUNS, Store, told


def main(*, stage: str | None, to: int | None, dry_run: bool) -> None:
    """Promote what dvc.lock names, or move the alias by hand; tell what was done.

    Args:
        stage: this training's model alone; needed with `to`.
        to: the version that becomes champion, whatever the gate says.
        dry_run: write nothing, tell what would be done.

    Raises:
        LockError: dvc.lock has no result.
        ParamsError: params.yaml is wrong, the gate in it perhaps.
        PromotionError: a line for each model that was refused, after all were tried.
        TrackingError: the store can't be reached, or fails.
    """
    gates = load_params(layout.PARAMS).promotion
    refused: list[str] = []
    with told():
        store = Store(make=False)
        for name in [stage] if stage else layout.TRAININGS:
            model = registry.model_name(name)
            try:
                if to is None:
                    done = _promote(store, name, getattr(gates, name), dry_run=dry_run)
                else:
                    done = _move(store, model, to, dry_run=dry_run)
            except PromotionError as error:
                refused.append(f"{model}: {error}")
            else:
                print(f"{model}: {done}{' (dry run: nothing is written)' if dry_run else ''}")
    if refused:
        raise PromotionError("\n".join(refused))


def _promote(store: Store, stage: str, gate: Gate, *, dry_run: bool) -> str:
    state, name = lock.locked(stage), registry.model_name(stage)
    run = store.finished(state.fingerprint)
    if run is None:
        raise PromotionError(f"found no run of what dvc.lock names, expected one; {MAKES_RUNS}")
    versions, champion = registry.versions(store, name), registry.champion(store, name)
    fingerprints = {tags.get("dvc.fingerprint"): number for number, tags in versions.items()}
    if known := fingerprints.get(state.fingerprint):
        number = known
    elif dry_run:
        number = max(versions, default=0) + 1
    else:
        number = registry.register(store, state, run)
    tags = versions.get(number) or registry.tags_of(state, run)
    if number == champion:
        return f"version {number} is champion already"
    if back := tags.get(ROLLED_BACK):
        raise PromotionError(
            f"version {number} was rolled back to {back} and does not become champion; "
            f"`python -m pipeline promote --stage {stage} --to {number}` makes it so"
        )
    figures = judged(
        gate,
        registry.entrant(number, tags),
        registry.entrant(champion, versions[champion]) if champion else None,
    )
    if not dry_run:
        registry.crown(store, name, number)
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
        registry.crown(store, name, to)
    back = f"; rolled back: {', '.join(map(str, left))}" if left else ""
    return f"version {to} becomes champion{back}"
