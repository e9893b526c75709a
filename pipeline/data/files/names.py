"""What the names mean that people give to arrays, columns and folders."""

import re
from collections.abc import Iterable

from pipeline.data.files.holding import Kind, Part, Place

PARTS: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Of two that mean the same, the first is taken: scikit-learn's digits have `images` and `data`.
KINDS: dict[Kind, tuple[str, ...]] = {
    "images": ("images", "image", "imgs", "img", "x", "data", "pixels"),
    "labels": ("labels", "label", "y", "target", "targets", "class"),
}


def part(name: str) -> Part | None:
    """The part of a dataset that `name` stands for: of "training", train."""
    return PARTS.get(name.lower())


def chosen(names: Iterable[str]) -> dict[tuple[Kind, Place], str]:
    """Of `names`, which has the images, or the labels, of which part.

    `x_train`, `train_images` and `Training Data` are the images of the train part, `images` and `X`
    those of all.
    """
    found: dict[tuple[Kind, Place], tuple[int, str]] = {}
    for name in names:
        words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
        parts = [PARTS[word] for word in words if word in PARTS]
        rest = [word for word in words if word not in PARTS]
        if len(rest) != 1 or len(parts) > 1:
            continue
        place: Place = parts[0] if parts else "all"
        for kind, known in KINDS.items():
            if rest[0] in known:
                rank = (known.index(rest[0]), name)
                found[kind, place] = min(found.get((kind, place), rank), rank)
    return {key: name for key, (_, name) in found.items()}
