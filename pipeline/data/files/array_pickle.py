"""Pickles of NumPy arrays and lists, loaded without running anything that they name.

A pickle is a program: loaded the usual way, it can call any function. Here every name that
pickled arrays need stands for an object that does no more than such a pickle needs, and
every other name is refused. No object of NumPy's is within the program's reach: `__setstate__`,
say, trusts its state, and a forged one reads memory that is not the array's.

A program can also be short and take forever, or make much of little: see `Document`, `_Encode` and
`as_array`.
"""

import io
import pickle
import re
import struct
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.data.files.source_file import allowed, check_expansion
from pipeline.errors import DataError

Array = npt.NDArray[Any]
NUMBERS = ({int}, {float}, {int, float})  # types that a list may mix
MOST_LEVELS = 4  # of lists: images, rows, pixels, channels
LONGEST_TEXT = 200  # characters of a label


def load(content: bytes) -> Any:
    """What a pickle holds: `Document`, tuple, list, or what stands for an array.

    Raises:
        DataError: it is no pickle, or names what arrays don't need.
    """
    try:
        return _ArrayUnpickler(content).load()
    except DataError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise DataError(f"not a readable pickle: {type(error).__name__}: {error}") from None


def is_arrays(value: object) -> bool:
    """Whether `value`, of a loaded pickle, is an array, or a list that may become one."""
    if isinstance(value, list | tuple):
        return bool(value) and not isinstance(value[0], Document)
    return isinstance(value, _PickledArray)


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


class _Name:
    """Stands for a name in a pickle; has no attributes that the pickle could set."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise DataError("found a pickle that changes what it names")


class _NDArray(_Name):
    """`numpy.ndarray`, which only `_reconstruct` may be given."""

    __slots__ = ()


class _PickledType:
    """A type of numbers, text or objects; its state may set the byte order and nothing else."""

    __slots__ = ("dtype",)

    def __init__(self, code: object) -> None:
        code = _text(code)
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
            self.dtype = self.dtype.newbyteorder(_text(order))


class _PickledArray:
    """An array whose state says what it holds."""

    __slots__ = ("state",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


class _Arrays:
    """Makes arrays of what a pickle holds, within a budget.

    A program that is short may name one list a million times, in a list that is named again.
    """

    def __init__(self, size: int) -> None:
        self.limit = allowed(size)
        self.elements, self.bytes = size, 0  # each element of a list takes a byte of the pickle

    def array(self, value: Any) -> Array:
        if isinstance(value, _PickledArray):
            _, shape, kind, fortran, data = value.state
            if kind.dtype.hasobject and isinstance(data, list):
                return self._listed(data, MOST_LEVELS).reshape(shape)
            return shaped(data, kind.dtype, shape, fortran=bool(fortran))
        return self._listed(value, 1)

    def _listed(self, values: Any, level: int) -> Array:
        self.elements -= len(values)
        if self.elements < 0:
            raise DataError("found lists that hold themselves, or one list many times")
        kinds = {type(value) for value in values}
        if kinds in ({str}, {bytes}):
            longest = max(map(len, values))
            check_expansion(4 * longest * len(values), self.limit)
            if longest > LONGEST_TEXT:
                raise DataError(f"found a text of {longest} characters, expected a label")
            return np.array(values)
        if kinds in NUMBERS:
            array = np.array(values)
            if array.dtype.kind not in "iuf":
                raise DataError("found whole numbers beyond 64 bits")
            return array
        if level < MOST_LEVELS and kinds <= {list, tuple}:
            return self._stacked([self._listed(value, level + 1) for value in values])
        if kinds == {_PickledArray}:
            return self._stacked([self.array(value) for value in values])
        named = ", ".join(sorted(kind.__name__.strip("_") for kind in kinds)) or "nothing"
        raise DataError(f"found a list of {named}, expected numbers, text or arrays")

    def _stacked(self, rows: list[Array]) -> Array:
        if len({row.shape for row in rows}) != 1:
            raise DataError("found a list of arrays of several shapes, expected one")
        self.bytes += sum(row.nbytes for row in rows)
        check_expansion(self.bytes, MOST_LEVELS * self.limit)  # it is counted at each level
        return np.stack(rows)


def _text(value: Any) -> Any:
    """Python 2 wrote text as bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else value


class _Dtype(_Name):
    __slots__ = ()

    def __call__(self, code: object, *_: object) -> _PickledType:
        return _PickledType(code)


class _Reconstruct(_Name):
    __slots__ = ()

    def __call__(self, kind: object, *_: object) -> _PickledArray:
        if not isinstance(kind, _NDArray):
            raise DataError("expected a plain NumPy array")
        return _PickledArray()


class _FromBuffer(_Name):
    __slots__ = ()

    def __call__(self, data: object, kind: object, shape: object, order: object) -> _PickledArray:
        array = _PickledArray()
        array.__setstate__((1, shape, kind, order == "F", data))
        return array


class _Encode(_Name):
    """How protocol 2 writes bytes: as text, each of them once.

    A pickle that has one text encoded again and again makes gigabytes of a megabyte.
    """

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = size

    def __call__(self, text: str, encoding: str) -> bytes:
        self.left -= len(text)
        if encoding != "latin1" or self.left < 0:
            raise DataError("found a pickle that encodes text as none of NumPy's does")
        return text.encode("latin1")


class Document(dict[str, Any]):
    """Keeps what has a name, and drops the rest.

    A tuple of a tuple of tuples, each written once and named twice by the next, has a hash that
    takes forever to compute.
    """

    __slots__ = ()

    def __setitem__(self, key: object, value: object) -> None:
        key = _text(key)
        if isinstance(key, str):
            super().__setitem__(key, value)


class _Bunch(Document):
    """scikit-learn's dict, whose state says nothing that its items don't."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Nothing is set."""


# The names that pickled NumPy arrays use, of any protocol, NumPy 1 or 2; each stands for an object
# above that does no more than such a pickle needs.
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDArray(),
    ("numpy", "dtype"): _Dtype(),
    ("sklearn.utils._bunch", "Bunch"): _Bunch,
    ("sklearn.utils", "Bunch"): _Bunch,
}
for _core in ("numpy.core", "numpy._core"):
    _ADMITTED[f"{_core}.multiarray", "_reconstruct"] = _Reconstruct()
    _ADMITTED[f"{_core}.numeric", "_frombuffer"] = _FromBuffer()


# The pure-Python unpickler, since the C one reserves memory for whatever a memo index claims.
class _ArrayUnpickler(pickle._Unpickler):
    """Loads what arrays are made of; pickles run code when loaded any other way."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")  # Python 2's text is often data
        self._admitted = {**_ADMITTED, ("_codecs", "encode"): _Encode(len(content))}

    def _load_dict(self: Any) -> None:
        self.append(Document())

    def _load_filled_dict(self: Any) -> None:
        items, document = self.pop_mark(), Document()
        for key, value in zip(items[::2], items[1::2], strict=True):
            document[key] = value
        self.append(document)

    def _load_bytearray8(self: Any) -> None:
        """As the original, but without reserving the claimed length first."""
        (length,) = struct.unpack("<Q", self.read(8))
        data = self.read(length)
        if len(data) < length:
            raise EOFError
        self.append(bytearray(data))

    def _drop_items(self: Any) -> None:
        self.pop_mark()

    def _load_frozenset(self: Any) -> None:
        self.pop_mark()
        self.append(frozenset())

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.EMPTY_DICT[0]: _load_dict,
        pickle.BYTEARRAY8[0]: _load_bytearray8,
        # Sets stay empty: they are not arrays, and would hash what they are given.
        pickle.ADDITEMS[0]: _drop_items,
        pickle.FROZENSET[0]: _load_frozenset,
        pickle.DICT[0]: _load_filled_dict,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._admitted:
            raise DataError(f"found a reference to {module}.{name}, which is not needed for arrays")
        return self._admitted[module, name]
