"""Pickles of NumPy arrays, loaded without running anything that they name.

A pickle is a program: loaded the usual way, it can call any function. Here every name that a
pickled dict of arrays needs stands for an object that does no more than such a pickle needs, and
every other name is refused. No object of NumPy's is within the program's reach: `__setstate__`,
say, trusts its state, and a forged one reads memory that is not the array's.

A program can also be short and take forever, or make much of little: see `_Dict` and `_Encode`.
"""

import io
import pickle
import re
import struct
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError

Array = npt.NDArray[Any]


def load(content: bytes) -> dict[str, Array]:
    """The arrays of a pickled dict, by key; what else it holds is left out.

    Raises:
        DataError: it is no such pickle, or names what arrays don't need.
    """
    try:
        document = _ArrayUnpickler(content).load()
        if not isinstance(document, _Dict):
            raise DataError(f"found a pickled {type(document).__name__}, expected a dict of arrays")
        return {key: value.array() for key, value in document.items() if _is_array(value)}
    except DataError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise DataError(f"not a readable pickle: {type(error).__name__}: {error}") from None


def shaped(data: Any, dtype: np.dtype[Any], shape: Any, *, fortran: bool) -> Array:
    """The array of `shape` that lies in the buffer `data`, not copied.

    Raises:
        DataError: `shape` is no tuple of counts.
        ValueError: `data` is not as long as `shape` and `dtype` say.
    """
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
    """A number type; its state may set the byte order and nothing else."""

    __slots__ = ("dtype",)

    def __init__(self, code: object) -> None:
        # NumPy takes much else for a type: lists of fields, dicts, types of Python.
        if not isinstance(code, str) or not re.fullmatch(r"[biuf]\d\d?", code):
            found = code if isinstance(code, str) else type(code).__name__
            raise DataError(f"found an array of type {found}, expected numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *rest = state
        if rest != [None, None, None, -1, -1, 0]:
            raise DataError("found an array of records, expected numbers")
        self.dtype = self.dtype.newbyteorder(order)


class _PickledArray:
    """An array whose state says what it holds."""

    __slots__ = ("state",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> Array:
        _, shape, kind, fortran, data = self.state
        return shaped(data, kind.dtype, shape, fortran=bool(fortran))


def _is_array(value: object) -> bool:
    return isinstance(value, _PickledArray)


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


class _Dict(dict[str, Any]):
    """Keeps what has a name, and drops the rest.

    A tuple of a tuple of tuples, each written once and named twice by the next, has a hash that
    takes forever to compute.
    """

    __slots__ = ()

    def __setitem__(self, key: object, value: object) -> None:
        if isinstance(key, str):
            super().__setitem__(key, value)


# The names that a pickled dict of NumPy arrays uses, protocol 2 or later, NumPy 1 or 2; each stands
# for an object above that does no more than such a pickle needs.
_ADMITTED: dict[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _NDArray(),
    ("numpy", "dtype"): _Dtype(),
}
for _core in ("numpy.core", "numpy._core"):
    _ADMITTED[f"{_core}.multiarray", "_reconstruct"] = _Reconstruct()
    _ADMITTED[f"{_core}.numeric", "_frombuffer"] = _FromBuffer()


# The pure-Python unpickler, since the C one reserves memory for whatever a memo index claims.
class _ArrayUnpickler(pickle._Unpickler):
    """Loads what a dict of arrays is made of; pickles run code when loaded any other way."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self._admitted = {**_ADMITTED, ("_codecs", "encode"): _Encode(len(content))}

    def _load_dict(self: Any) -> None:
        self.append(_Dict())

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
    }
    del dispatch[pickle.DICT[0]]  # of protocol 0: it would hash, too

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._admitted:
            raise DataError(f"found a reference to {module}.{name}, which is not needed for arrays")
        return self._admitted[module, name]
