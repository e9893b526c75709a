"""Parquet, as data hubs keep images: a column of pictures as bytes, and one of labels."""

import io
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from pipeline.data.files import names, pictures
from pipeline.data.files.holding import Array, Holding, listed
from pipeline.data.files.source_file import ALWAYS_ALLOWED, SourceFile, check_expansion
from pipeline.errors import DataError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

FORM = "a Parquet file"
MAGIC = b"PAR1"
ROWS = 256  # read at once
# What Arrow may take beyond what this process has: it believes the sizes that pages claim.
HEADROOM = 16 * ALWAYS_ALLOWED


def recognises(start: bytes) -> bool:
    """Whether a file that begins with `start` is one."""
    return start.startswith(MAGIC)


def hold(file: SourceFile) -> Holding:
    """What `file` holds, by the names of its columns.

    Raises:
        DataError: it is no readable Parquet, or its images are in no column of pictures.
    """
    with _opened(file) as parquet:
        schema = parquet.schema_arrow
        check_expansion(parquet.metadata.num_rows, file.limit)
        chosen = names.chosen(schema.names)
        image, label = chosen.get(("images", "all")), chosen.get(("labels", "all"))
        classes = _class_names(schema.metadata or {}, label)
        column = _picture_column(schema.field(image)) if image else None
    return Holding.whole(
        FORM,
        f"columns {listed(schema.names)}",
        None if column is None else lambda: _images(file, column),
        None if label is None else lambda: _labels(file, label, classes),
    )


def _picture_column(field: Any) -> str:
    """Where the pictures' bytes are: in the column itself, or within it."""
    import pyarrow as pa

    types = pa.types
    binary = (types.is_binary, types.is_large_binary)
    if any(is_(field.type) for is_ in binary):
        return str(field.name)
    within = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    if within and any(is_(field.type.field("bytes").type) for is_ in binary):
        return f"{field.name}.bytes"
    raise DataError(f"found '{field.name}' of type {field.type}, expected pictures as bytes")


def _class_names(metadata: dict[bytes, bytes], label: str | None) -> list[str]:
    """What a data hub's own description, if there is one, calls the labels, from 0 on."""
    try:
        described = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    if not isinstance(described, list) or not all(isinstance(name, str) for name in described):
        return []
    if len(set(described)) < len(described):
        raise DataError(f"found one name for several labels: {listed(described)}")
    return described


def _images(file: SourceFile, column: str) -> Iterator[Array]:
    return pictures.chunked(_decoded(file, column))


def _decoded(file: SourceFile, column: str) -> Iterator[Array]:
    row, taken = 0, 0
    for batch in _batches(file, column):
        values = batch.column(0)
        for value in values.field(0) if column.endswith(".bytes") else values:
            if not value.is_valid:
                raise DataError(f"row {row} has no picture, expected one in each")
            try:
                pixels = pictures.decode(io.BytesIO(value.value.as_buffer()))
            except DataError as error:
                raise DataError(f"row {row}: {error}") from None
            taken += pixels.nbytes
            check_expansion(taken, file.limit)
            yield pixels
            row += 1


def _labels(file: SourceFile, column: str, classes: list[str]) -> Array:
    found: list[Any] = []
    for batch in _batches(file, column):
        found += batch.column(0).to_pylist()
        check_expansion(8 * len(found), file.limit)
    kinds = {type(value) for value in found}
    if kinds == {str}:
        longest = max(map(len, found))
        check_expansion(4 * longest * len(found), file.limit)
    elif kinds and kinds not in ({int}, {float}):
        named = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"found labels of type {named}, expected whole numbers or text, one each")
    if classes and kinds == {int}:
        if not 0 <= min(found) <= max(found) < len(classes):
            raise DataError(
                f"found labels from {min(found)} to {max(found)}, of {len(classes)} names"
            )
        return np.array(classes)[found]
    return np.array(found)


def _batches(file: SourceFile, column: str) -> Iterator[Any]:
    with _opened(file, column) as parquet:
        iterator = parquet.iter_batches(ROWS, columns=[column], use_threads=False)
        while True:
            with _limited(), _told():
                batch = next(iterator, None)
            if batch is None:
                return
            yield batch


@contextmanager
def _opened(file: SourceFile, column: str = "") -> Iterator["ParquetFile"]:
    """The file; what `column` has many times is kept once, so that it can't fill the memory."""
    from pyarrow.parquet import ParquetFile

    with file.seekable() as opened:
        with _limited(), _told():
            # A buffer ahead of what is read would keep the whole file.
            dictionary = [column] if column else None
            parquet = ParquetFile(opened, read_dictionary=dictionary, pre_buffer=False)
        yield parquet


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise DataError(
            f"found more than {HEADROOM} bytes in a page or a group of rows, expected pictures; "
            "write them with a smaller `row_group_size`"
        ) from None
    except Exception as error:  # Arrow has errors of many kinds
        reason = str(error) or type(error).__name__
        raise DataError(f"not a readable Parquet file: {reason}") from None


@contextmanager
def _limited() -> Iterator[None]:
    """Bound what Arrow may take, where the system can (Linux does)."""
    used = getattr(psutil.Process().memory_info(), "data", None)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if used is None:
        yield
        return
    bounds = [bound for bound in (used + HEADROOM, soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
