"""Images alone, from any accepted file or folder, as models take them."""

from collections.abc import Iterator

from pipeline.data.datasets import Images
from pipeline.data.files import pixels, readers
from pipeline.data.files.holding import Place
from pipeline.data.files.pixels import Note
from pipeline.data.files.source_file import told


def batches(
    source: readers.Source, part: Place, note: Note, *, to_grey: bool, transpose: bool
) -> Iterator[Images]:
    """The images of `source` for `part`, uint8 (n, side, side), some MiB at a time.

    Args:
        source: what `readers.source` gives for a path; labels in it are not looked at.
        part: which images, where it distinguishes parts.
        note: is told what was understood that the file does not say.
        to_grey: weigh colours to a grey; else only what is grey already is taken.
        transpose: swap rows and columns.

    Raises:
        DataError: it holds no square images, or what their numbers mean is not certain.
    """
    chunks = source.holding.images
    with told(source.path):
        place = source.holding.place("images", part)
        yield from pixels.levels(chunks[place], note, to_grey=to_grey, transpose=transpose)
