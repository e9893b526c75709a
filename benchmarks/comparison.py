"""An epoch by this pipeline and by its peers, as a table, and what it says of the best peer."""

from collections.abc import Collection, Iterator
from typing import Any

from benchmarks import markdown
from benchmarks.variants import OURS

NAMES = {
    OURS: "this pipeline",
    "plain_keras": "plain Keras",
    "tuned_keras": "tuned Keras",
    "torch_loop": "PyTorch",
    "jax_scan": "JAX",
}
PEERS = [peer for peer in NAMES if peer != OURS]
BOTH = ("avx2", "native")
Row = dict[str, Any]


def best(
    variants: list[Row],
    peers: Collection[str],
    figure: str,
    *,
    cpu_isa: Collection[str] = BOTH,
    held_out: bool = False,
) -> Row | None:
    """The variant of `peers` whose median `figure` is least; None if there is none."""
    own = [
        row
        for row in variants
        if row["peer"] in peers and row["cpu_isa"] in cpu_isa and row["held_out"] == held_out
    ]
    return min(own, key=lambda row: row[figure]["median"], default=None)


def rows(part: Row) -> Iterator[tuple[str, ...]]:
    """Of the table: this pipeline, then each peer at its best, model by model.

    What takes least of a core need not be what takes least time, so these are chosen apart.
    """
    yield (
        *("an epoch of", "by", "core-seconds, AVX2", "times ours"),
        *("core-seconds, no cap", "times ours with AVX2", "times ours with no cap"),
        *("seconds, cores", "loss"),
    )
    for model, figures in part["models"].items():
        for peer, held_out in [(peer, False) for peer in NAMES] + [(OURS, True)]:
            variants = figures["variants"]
            fast = best(variants, [peer], "seconds", held_out=held_out)
            if not fast:
                continue
            capped, uncapped = (
                best(variants, [peer], "core_seconds", cpu_isa=[cpu_isa], held_out=held_out)
                for cpu_isa in BOTH
            )
            agrees = all(row["loss_agrees"] for row in variants if row["peer"] == peer)
            yield (
                f"`{model}`",
                f"{NAMES[peer]}, held-out images measured too" if held_out else NAMES[peer],
                markdown.spread(capped["core_seconds"]) if capped else "",
                _times_ours(capped, "avx2"),
                markdown.spread(uncapped["core_seconds"]) if uncapped else "",
                _times_ours(uncapped, "avx2"),
                _times_ours(uncapped, "native"),
                f"{markdown.spread(fast['seconds'])}, {fast['cores']}",
                f"{fast['loss']:.4f}{'' if agrees else ' (differs!)'}",
            )


def verdicts(part: Row) -> str:
    """What the best peer takes of a core, and this pipeline's share of the peak: a line a model."""
    lines = ["Core-seconds of the best peer, as a multiple of this pipeline's:", ""]
    for model, figures in part["models"].items():
        told = [
            f"{_times_ours(peer, ours)} {what} ({NAMES[peer['peer']]})"
            for cpu_isa, ours, what in (
                ("avx2", "avx2", "where both have AVX2"),
                ("native", "avx2", "where the peer has no cap"),
                ("native", "native", "where neither has"),
            )
            if (peer := best(figures["variants"], PEERS, "core_seconds", cpu_isa=[cpu_isa]))
            and ours in peer["times_ours"]
        ]
        compared = ", ".join(told) or "no peer was measured"
        share = f"{figures['share_of_peak']:.0%} of the peak"
        lines.append(f"- `{model}`: {compared}. This pipeline, with AVX2, computes at {share}.")
    return "\n".join(lines)


def _times_ours(row: Row | None, cpu_isa: str) -> str:
    """Core-seconds as a multiple of this pipeline's with `cpu_isa`, if that was measured."""
    return (
        markdown.spread(row["times_ours"][cpu_isa]) if row and cpu_isa in row["times_ours"] else ""
    )
