"""One picture, PNG or JPEG: an image without a label."""

from collections.abc import Iterator

import numpy as np

from pipeline.data.files import pictures
from pipeline.data.files.holding import Array, Holding
from pipeline.data.files.source_file import SourceFile

recognises = pictures.recognises


def hold(file: SourceFile) -> Holding:
    """The image in `file`."""

    def images() -> Iterator[Array]:
        with file.seekable() as opened:
            yield pictures.decode(opened)[np.newaxis]

    return Holding.whole("a picture", "one picture", images)
