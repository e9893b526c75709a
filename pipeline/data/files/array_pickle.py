"""Pickles of NumPy arrays and lists, loaded without running anything that they name.

A pickle is a program: loaded the usual way, it can call any function. Here every name that
pickled arrays need stands for an object that does no more than such a pickle needs, and
every other name is refused. No object of NumPy's is within the program's reach: `__setstate__`,
say, trusts its state, and a forged one reads memory that is not the array's.

A program can also be short and take forever, or make much of little: see `Document`, `_Encode` and
`pickled_arrays.as_array`.
"""

import io
import pickle
import struct
from typing import Any, ClassVar

from pipeline.data.files.pickled_arrays import Document, PickledArray, PickledType, shaped
from pipeline.errors import DataError


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


class _Name:
    """Stands for a name in a pickle; has no attributes that the pickle could set."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise DataError("found a pickle that changes what it names")


class _NDArray(_Name):
    """`numpy.ndarray`, which only `_reconstruct` may be given."""

    __slots__ = ()


class _Dtype(_Name):
    __slots__ = ()

    def __call__(self, code: object, *_: object) -> PickledType:
        return PickledType(code)


class _Reconstruct(_Name):
    __slots__ = ()

    def __call__(self, kind: object, *_: object) -> PickledArray:
        if not isinstance(kind, _NDArray):
            raise DataError("expected a plain NumPy array")
        return PickledArray()


class _FromBuffer(_Name):
    __slots__ = ()

    def __call__(self, data: object, kind: object, shape: object, order: object) -> PickledArray:
        array = PickledArray()
        array.__setstate__((1, shape, kind, order == "F", data))
        return array


class _Scalar(_Name):
    """A number, or a text, that was taken from an array, as `list(labels)` does."""

    __slots__ = ()

    def __call__(self, kind: object, data: object) -> Any:
        if not isinstance(kind, PickledType):
            raise DataError("expected a plain NumPy number")
        return shaped(data, kind.dtype, (), fortran=False).item()


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


class _Bunch(Document):
    """scikit-learn's dict, whose state says nothing that its items don't."""

    __slots__ = ()

    def __init__(self) -> None:
        """A dict may be given items, whose keys it would hash."""

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
    _ADMITTED[f"{_core}.multiarray", "scalar"] = _Scalar()
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
            raise DataError(
                f"found a reference to {module}.{name}, which is not needed for arrays; save a "
                "dict of NumPy arrays"
            )
        return self._admitted[module, name]
