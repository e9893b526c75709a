"""Pickles: a dict of arrays or lists by name, or nested tuples, as the classic MNIST file has them.

Python 2's are read as well as today's; what loads them safely is `array_pickle`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.data.files import array_pickle, names, pickled_arrays
from pipeline.data.files.holding import Array, Chunks, Holding, Place, chunks, listed
from pipeline.data.files.source_file import SourceFile
from pipeline.errors import DataError

# Later protocols say their number; the first two begin with what they make: a dict, or an array.
EARLY = re.compile(rb"\(+[dl]p?\d|\}q|\(*cnumpy\._?core\.multiarray\n")
# Of (images, labels) pairs, by how many there are.
PAIRS: dict[int, tuple[Place, ...]] = {2: ("train", "test"), 3: ("train", "validation", "test")}


def recognises(start: bytes) -> bool:
    """Whether a file that begins with `start` is one."""
    return start.startswith(b"\x80") or bool(EARLY.match(start))


def hold(file: SourceFile) -> Holding:
    """What `file` holds, by the names in a dict or by the order in tuples.

    Raises:
        DataError: it is another kind of pickle.
    """
    content = file.content()
    loaded, size = array_pickle.load(content), len(content)
    del content
    if isinstance(loaded, pickled_arrays.Document):
        held = {key: value for key, value in loaded.items() if pickled_arrays.is_arrays(value)}
        chosen = names.chosen(held)
        return _holding(
            "a pickled dict",
            {place: held[name] for (kind, place), name in chosen.items() if kind == "images"},
            {place: held[name] for (kind, place), name in chosen.items() if kind == "labels"},
            size,
            listed(held) or "no array",
        )
    if isinstance(loaded, tuple | list):
        if len(loaded) in PAIRS and all(map(_is_pair, loaded)):
            places = PAIRS[len(loaded)]
            pairs = dict(zip(places, loaded, strict=True))
        elif _is_pair(loaded):
            pairs = {"all": loaded}
        else:
            raise DataError(
                f"found a pickled {type(loaded).__name__} of {len(loaded)}, expected "
                "(images, labels), or two or three such pairs; a dict can name what it holds"
            )
        return _holding(
            f"a pickle of {len(pairs)} (images, labels) pair(s)",
            {place: pair[0] for place, pair in pairs.items()},
            {place: pair[1] for place, pair in pairs.items()},
            size,
            f"{len(pairs)} pair(s) of images and labels",
        )
    if isinstance(loaded, pickled_arrays.PickledArray):
        return Holding.one("a pickled array", lambda: pickled_arrays.as_array(loaded, size))
    raise DataError(f"found a pickled {type(loaded).__name__}, expected arrays")


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(map(pickled_arrays.is_arrays, value))
    )


def _holding(
    form: str, images: Mapping[Place, Any], labels: Mapping[Place, Any], size: int, contents: str
) -> Holding:
    def read(value: Any) -> Callable[[], Array]:
        return lambda: pickled_arrays.as_array(value, size)

    def pieces(value: Any) -> Chunks:
        return lambda: chunks(pickled_arrays.as_array(value, size))

    return Holding(
        form,
        {place: pieces(value) for place, value in images.items()},
        {place: read(value) for place, value in labels.items()},
        contents,
    )
