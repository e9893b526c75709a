"""The one look of every figure."""

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from pipeline.errors import MachineError

TRAIN, TEST = "#2b6ca3", "#d9772b"
MODELS = ("#3a8f6b", "#8a4f9e", "#c0504d", "#8c6d31", "#17829b", "#5254a3")  # one after another
QUIET = "#5a5a5a"  # notes beside the data
BLANK = "#f3e9dc"  # where a picture has no number
LONGEST_NAME = 18  # characters of a class's name that are drawn
IN_LATEX = str.maketrans(
    {character: rf"\{character}" for character in "$%&#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"\N{HORIZONTAL ELLIPSIS}": r"\ldots{}"}
)

STYLE: dict[str, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "axes.grid": False,
    "figure.constrained_layout.use": True,
    "figure.titlesize": 14,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",  # ships with Matplotlib, so every machine draws the same
    "font.size": 11,
    "legend.frameon": False,
    "savefig.dpi": 100,
}


@contextmanager
def applied(*, usetex: bool) -> Iterator[None]:
    """Draw and save figures in this style.

    Raises:
        MachineError: LaTeX is asked for, and not installed.
    """
    missing = [program for program in ("latex", "dvipng") if not shutil.which(program)]
    if usetex and missing:
        raise MachineError(
            f"visualize.usetex is true, but found no {' and no '.join(missing)} on PATH; "
            "install LaTeX (Debian: texlive-latex-extra dvipng cm-super) or set it to false"
        )
    settings: Any = {**STYLE, "text.usetex": usetex}
    with mpl.rc_context(mpl.rcParamsDefault), mpl.rc_context(settings), warnings.catch_warnings():
        # The name of a class may have letters that the font lacks; a box stands for each.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        yield


def image(
    axes: Axes, pixels: npt.NDArray[Any], note: str = "", blank: str = "white", **options: Any
) -> None:
    """Draw `pixels` in grey without axes, NaN as `blank`, `note` below it."""
    grey = mpl.colormaps["gray"].with_extremes(bad=blank)
    axes.imshow(pixels, interpolation="nearest", cmap=grey, **options)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(note, fontsize=9, color=QUIET)


def capitalized(title: str) -> str:
    """`title` as a sentence begins."""
    return title[:1].upper() + title[1:]


def class_name(name: object) -> str:
    """What a class is called, as it is to be drawn: letter by letter, and not too long."""
    text = str(name)
    if len(text) > LONGEST_NAME:
        text = f"{text[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    return literal(text)


def literal(text: str) -> str:
    """What Matplotlib, or LaTeX, draws as `text`, whatever characters it has."""
    text = text.encode(errors="backslashreplace").decode()  # a path may be no text
    if mpl.rcParams["text.usetex"]:
        return text.translate(IN_LATEX)
    return text.replace("$", r"\$")  # which would begin a formula


def column_title(axes: Axes, text: str, size: float = 12, room: int = 10) -> None:
    """Write `text` above an image; smaller where a line has more characters than `room`."""
    longest = max(map(len, text.splitlines()), default=0)
    axes.set_title(text, loc="center", fontsize=size * min(room / max(longest, 1), 1))


def row_title(axes: Axes, title: str) -> None:
    """Write `title` to the left of a row's first image, not turned."""
    axes.set_ylabel(title, rotation=0, ha="right", va="center", labelpad=8)


def class_colours(count: int) -> Sequence[tuple[float, ...]]:
    """One colour a class, as distinct as `count` allows."""
    if count <= 10:
        return [tuple(colour) for colour in mpl.colormaps["tab10"](range(count))]
    return [tuple(colour) for colour in mpl.colormaps["turbo"](np.linspace(0, 1, count))]
