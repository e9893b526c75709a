"""Pickles of NumPy arrays, loaded without running anything that they name.

A pickle is a program: loaded the usual way, it can call any function. Here every name that a
pickled dict of arrays needs stands for an object that does no more than such a pickle needs, and
every other name is refused. NumPy's own `__setstate__` is kept out of reach, too: it trusts its
state, and a forged one reads memory that is not the array's.
"""

import io
import pickle
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
        document = _ArrayUnpickler(io.BytesIO(content)).load()
        if not isinstance(document, dict):
            raise DataError(f"found a pickled {type(document).__name__}, expected a dict of arrays")
        held = {str(key): value for key, value in document.items()}
        return {
            key: value.array() if isinstance(value, _PickledArray) else value
            for key, value in held.items()
            if isinstance(value, (_PickledArray, np.ndarray))
        }
    except DataError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise DataError(f"not a readable pickle: {error!r}") from None


def shaped(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: Any) -> Array:
    """The array of `shape` that lies in `data`, not copied.

    Raises:
        DataError: a side of `shape` is negative.
        ValueError: `data` is not as long as `shape` and `dtype` say.
    """
    if min(shape, default=0) < 0:  # to `reshape`, -1 is whatever fits
        raise DataError(f"found an array of shape {shape}")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


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

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biuf":
            raise DataError(f"found an array of {self.dtype}, expected numbers")

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
        return shaped(data, kind.dtype, shape, "F" if fortran else "C")


class _Dtype(_Name):
    __slots__ = ()

    def __call__(self, code: str, *_: object) -> _PickledType:
        return _PickledType(code)


class _Reconstruct(_Name):
    __slots__ = ()

    def __call__(self, kind: object, *_: object) -> _PickledArray:
        if not isinstance(kind, _NDArray):
            raise DataError("expected a plain NumPy array")
        return _PickledArray()


class _FromBuffer(_Name):
    __slots__ = ()

    def __call__(self, data: bytes, kind: _PickledType, shape: Any, order: Any) -> Array:
        return shaped(data, kind.dtype, shape, order)


class _Encode(_Name):
    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        return text.encode(encoding)


# The names that a pickled dict of NumPy arrays uses, protocol 2 or later, NumPy 1 or 2; each stands
# for an object above that does no more than such a pickle needs.
_ADMITTED: dict[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _NDArray(),
    ("numpy", "dtype"): _Dtype(),
    ("_codecs", "encode"): _Encode(),
}
for _core in ("numpy.core", "numpy._core"):
    _ADMITTED[f"{_core}.multiarray", "_reconstruct"] = _Reconstruct()
    _ADMITTED[f"{_core}.numeric", "_frombuffer"] = _FromBuffer()


# The pure-Python unpickler, since the C one reserves memory for whatever a memo index claims.
class _ArrayUnpickler(pickle._Unpickler):
    """Loads what a dict of arrays is made of; pickles run code when loaded any other way."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def _load_bytearray8(self: Any) -> None:
        """As the original, but without reserving the claimed length first."""
        (length,) = struct.unpack("<Q", self.read(8))
        data = self.read(length)
        if len(data) < length:
            raise EOFError
        self.append(bytearray(data))

    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray8

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise DataError(f"found a reference to {module}.{name}, which is not needed for arrays")
        return _ADMITTED[module, name]
