"""`python -m pipeline inspect`: what files of images hold, and what to write in params.yaml."""

import argparse
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.commands import arguments
from pipeline.data.files.source_file import told
from pipeline.data.files.sources import Sources
from pipeline.data.inspection import Found, Inspected, inspect
from pipeline.errors import DataError, StorageError
from pipeline.outs import artifacts
from pipeline.outs.tables import table

SHEET = Path("contact_sheet.png")
TITLE = "Contact sheet of python -m pipeline inspect"  # by which a sheet is known
START = 200  # bytes of a PNG, within which it is
PLAIN = re.compile(r"/?[\w.][\w.-]*(/[\w.-]+)+")  # what YAML takes for a text without quotes
TEST_FRACTION = 0.2
SHOWN = 40  # classes of which the images are counted one by one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `main`."""
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="a file or a folder of images: training images first, then others that belong to them",
    )
    parser.add_argument(
        "--sheet", type=Path, default=SHEET, help="where to draw some of each class (%(default)s)"
    )


def main(*, paths: list[Path], sheet: Path) -> None:
    """Say what each of `paths` holds; draw `sheet`; print what `prepare` needs to read them.

    Args:
        paths: files or folders that belong together.
        sheet: a PNG of some images of each class of the first of them; the only thing written.

    Raises:
        DataError: one, or what is at `sheet`, can't be read, or none has images.
        StorageError: the sheet can't be written, or would be written over another file.
    """
    _check(sheet, paths)
    inspected = [inspect(path) for path in dict.fromkeys(paths)]
    for one in inspected:
        print(f"{one.path}: {one.form}")
        for note in one.notes:
            print(f"  {note}")
        for line in (*map(_described, one.found), *_counted(one.found)):
            print(f"  {line}")
    pairs = _pairs(inspected)
    _draw(*pairs[0], sheet)
    print(f"\nwritten to {sheet}")
    print(f"\nfor params.yaml:\n\n{_lines(pairs)}")


def _check(sheet: Path, paths: list[Path]) -> None:
    """Refuse to draw where another file would be lost, or a folder get one image more."""
    arguments.check_apart(sheet, paths, "--sheet")
    with told(sheet), suppress(FileNotFoundError), artifacts.open_file(sheet) as file:
        if TITLE.encode() not in file.read(START):
            raise StorageError(
                f"{sheet}: is there, and no contact sheet, which --sheet would write over"
            )


Pair = tuple[Inspected, Inspected | None]  # images and their labels


def _pairs(inspected: list[Inspected]) -> list[Pair]:
    """What has images, each with its labels: its own, or the next that are as many."""
    alone = [one for one in inspected if not one.holds("images")]
    pairs: list[Pair] = []
    for one in inspected:
        if one.holds("labels") and one.holds("images"):
            pairs.append((one, one))
        elif one.holds("images"):
            fitting = [each for each in alone if each.counts("labels") == one.counts("images")]
            if fitting:
                alone.remove(fitting[0])
            pairs.append((one, fitting[0] if fitting else None))
    if not pairs:
        raise DataError(f"{inspected[0].path}: found labels alone, expected images as well")
    return pairs


def _draw(one: Inspected, labels: Inspected | None, sheet: Path) -> None:
    from pipeline.figures import style
    from pipeline.figures.contact_sheet import contact_sheet

    if labels and labels is not one:
        one = inspect(one.path, labels.path)
    with style.applied(usetex=False):
        samples = next(found.samples for found in one.found if found.samples)
        artifacts.write_figure(sheet, contact_sheet(one.path.name, samples), TITLE)


def _lines(pairs: list[Pair]) -> str:
    """The section `prepare` for `pairs`, below what `prepare` says against it, if anything."""
    from pipeline.data.files import preparation

    section = _section(pairs)
    if section is None:
        return (
            f"# {pairs[0][0].path} has no labels, which `prepare` needs: name a file of them, too"
        )
    lines = ["prepare:"]
    lines += [f"  {key}: {_written(value)}" for key, value in section.model_dump().items()]
    try:
        preparation.read(section, 0, lambda _: None)
    except DataError as error:
        lines.insert(0, f"# `prepare` refuses these: {error}")
    return "\n".join(lines)


def _section(pairs: list[Pair]) -> Sources | None:
    """What reads the first as training images, the second as test images."""
    if pairs[0][1] is None:
        return None
    labelled = [(one, labels) for one, labels in pairs if labels]
    train, labels = labelled[0]
    test, test_labels = labelled[1] if len(labelled) > 1 else labelled[0]
    return Sources(
        train_images=str(train.path),
        train_labels=str(labels.path),
        test_images=str(test.path),
        test_labels=str(test_labels.path),
        validation="leave_out",
        test_fraction=TEST_FRACTION,
        to_grey=any(found.in_colour for one in (train, test) for found in one.found),
        transpose=False,
    )


def _written(value: Any) -> str:
    """`value` as YAML."""
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    # JSON alone would write two halves for an emoji, which YAML does not put together.
    written = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in written)


def _described(found: Found) -> str:
    place = "" if found.place == "all" else f"{found.place}: "
    if not found.images:
        return f"{place}{sum(found.labels.values()):,} labels"
    colours = ", in colour" if found.in_colour else ""
    duplicates = f"{found.duplicates:,} duplicate{'s' * (found.duplicates != 1)}"
    labels = "" if found.labels else "; no labels"
    return (
        f"{place}{found.images:,} image{'s' * (found.images != 1)} of {found.side} x {found.side} "
        f"pixels{colours}, levels {found.darkest} to {found.lightest}, mean {found.mean:.1f}; "
        f"{duplicates}{labels}"
    )


def _counted(parts: list[Found]) -> list[str]:
    """A line for each class, a column for each part; of many classes, their range."""
    labelled = [found for found in parts if found.labels]
    if not labelled:
        return []
    names = list(dict.fromkeys(name for found in labelled for name in found.labels))
    if len(names) > SHOWN:
        counts = labelled[0].labels.values()
        return [f"{len(names)} classes, the first part's of {min(counts):,} to {max(counts):,}"]
    heading = ("class", *("images" if one.place == "all" else one.place for one in labelled))
    rows = [(name, *(f"{one.labels.get(name, 0):,}" for one in labelled)) for name in names]
    return table([heading, *rows]).splitlines()
