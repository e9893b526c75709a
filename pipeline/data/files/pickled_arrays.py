"""What stands for arrays, and the dicts around them, in a pickle that is loaded with care.

A program that is short may make much of little, or take forever: one that names a list a million
times in a list that is named again. So what it made becomes an array within a budget.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.files.source_file import allowed, check_expansion
from pipeline.errors import DataError

Array = npt.NDArray[Any]
NUMBERS = ({int}, {float}, {int, float})  # types that a list may mix
MOST_LEVELS = 4  # of lists: images, rows, pixels, channels
LONGEST_TEXT = 200  # characters of a label


class Document(dict[str, Any]):
    """Keeps what has a name, and drops the rest.

    A tuple of a tuple of tuples, each written once and named twice by the next, has a hash that
    takes forever to compute.
    """

    __slots__ = ()

    def __setitem__(self, key: object, value: object) -> None:
        key = as_text(key)
        if isinstance(key, str):
            super().__setitem__(key, value)


class PickledType:
    """A type of numbers, text or objects; its state may set the byte order and nothing else."""

    __slots__ = ("dtype",)

    def __init__(self, code: object) -> None:
        code = as_text(code)
        # NumPy takes much else for a type: lists of fields, dicts, types of Python.
        if not isinstance(code, str) or not re.fullmatch(r"[biuf]\d\d?|[US][1-9]\d{0,2}|O8", code):
            found = code if isinstance(code, str) else type(code).__name__
            raise DataError(f"found an array of type {found}, expected numbers or text")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *rest = state
        plain = {
            "U": [self.dtype.itemsize, 4, 8],
            "S": [self.dtype.itemsize, 1, 0],
            "O": [-1, -1, 63],
        }.get(self.dtype.kind, [-1, -1, 0])
        if rest != [None, None, None, *plain]:
            raise DataError("found an array of records, expected numbers")
        if not self.dtype.hasobject:
            self.dtype = self.dtype.newbyteorder(as_text(order))


class PickledArray:
    """An array whose state says what it holds."""

    __slots__ = ("state",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


def is_arrays(value: object) -> bool:
    """Whether `value`, of a loaded pickle, is an array, or a list that may become one."""
    if isinstance(value, list | tuple):
        return bool(value) and not isinstance(value[0], Document)
    return isinstance(value, PickledArray)


def as_array(value: Any, size: int) -> Array:
    """The array that `value`, of a loaded pickle of `size` bytes, stands for.

    Raises:
        DataError: it stands for none; or for more than what is written once may expand to.
    """
    try:
        return _Arrays(size).array(value)
    except DataError:
        raise
    except Exception as error:  # a broken state may raise anything
        raise DataError(f"not a readable array: {type(error).__name__}: {error}") from None


def shaped(data: Any, dtype: np.dtype[Any], shape: Any, *, fortran: bool) -> Array:
    """The array of `shape` that lies in the buffer `data`, not copied.

    Raises:
        DataError: `shape` is no tuple of counts, or the elements are objects of Python's.
        ValueError: `data` is not as long as `shape` and `dtype` say.
    """
    if dtype.hasobject:
        raise DataError("found an array of Python objects, expected numbers; for text, astype(str)")
    if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape):
        raise DataError("found an array whose shape is not a tuple of counts")
    if min(shape, default=0) < 0:  # to `reshape`, -1 is whatever fits
        raise DataError(f"found an array of shape {shape}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


class _Arrays:
    """Makes arrays of what a pickle of `size` bytes holds, within a budget."""

    def __init__(self, size: int) -> None:
        self.limit = allowed(size)
        # Each element of a list takes a byte of the pickle, and each byte of an array.
        self.elements = self.bytes = size

    def array(self, value: Any) -> Array:
        if isinstance(value, PickledArray):
            _, shape, kind, fortran, data = value.state
            if kind.dtype.hasobject and isinstance(data, list):
                elements = self._listed(data, MOST_LEVELS)
                return elements.reshape(*shape, *elements.shape[1:])
            return shaped(data, kind.dtype, shape, fortran=bool(fortran))
        return self._listed(value, 1)

    def _listed(self, values: Any, level: int) -> Array:
        self.elements -= len(values)
        if self.elements < 0:
            raise DataError("found lists that hold themselves, or one list many times")
        kinds = {type(value) for value in values}
        if kinds in ({str}, {bytes}):
            longest = max(map(len, values))
            if longest > LONGEST_TEXT:
                raise DataError(f"found a text of {longest} characters, expected a label")
            check_expansion(4 * longest * len(values), self.limit)
            return np.array(values)
        if kinds in NUMBERS:
            array = np.array(values)
            if array.dtype.kind not in "iuf":
                raise DataError("found whole numbers beyond 64 bits")
            return array
        if level < MOST_LEVELS and kinds <= {list, tuple}:
            return self._stacked([self._listed(value, level + 1) for value in values])
        if kinds == {PickledArray}:
            arrays = [self.array(value) for value in values]
            self.bytes -= sum(array.nbytes for array in arrays)
            if self.bytes < 0:
                raise DataError("found one array many times, expected each once")
            return self._stacked(arrays)
        named = ", ".join(sorted(kind.__name__.strip("_") for kind in kinds)) or "nothing"
        raise DataError(f"found a list of {named}, expected numbers, text or arrays")

    def _stacked(self, rows: list[Array]) -> Array:
        if len({row.shape for row in rows}) != 1:
            raise DataError("found a list of arrays of several shapes, expected one")
        return np.stack(rows)


def as_text(value: Any) -> Any:
    """Python 2 wrote text as bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else value
