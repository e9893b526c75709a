"""Figures of one model, of few and of many: no text lies on another or leaves the figure."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pipeline.data.datasets import Dataset
from pipeline.figures import codes, curves, rate_distortion, style
from pipeline.figures import digits as pictures
from pipeline.figures.contact_sheet import contact_sheet
from pipeline.figures.curves import Panel
from pipeline.figures.plane import Plane
from pipeline.figures.rate_distortion import Point
from pipeline.params import PipelineParams
from tests.figures.test_figures import (
    Material,
    confident_mistakes,
    confusion_matrix,
    history,
    labelled,
    material,
)

pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")

LABELS = ("dense", "convolutional", "denoising", "sparse")
TITLES = [f"{label} autoencoder" for label in LABELS]


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with style.applied(usetex=False):
        yield


PANELS = [
    Panel("classifier", "accuracy", history(30), 0.95),
    Panel("classifier", "cross-entropy", history(30)),
    *(Panel(title, "binary cross-entropy", history(100)) for title in TITLES[:3]),
]


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Each text that is drawn, with its place in pixels."""
    found = []
    draw = Text.draw

    def noted(text: Text, renderer: RendererBase) -> None:
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            found.append((text.get_text(), text.get_window_extent(renderer)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", noted)
        figure.draw_without_rendering()
    return found


def assert_readable(figure: Figure, *expected: str) -> None:
    """All `expected` is there, whole; nothing lies on anything."""
    found = texts(figure)
    assert set(expected) <= {text for text, _ in found}
    whole = figure.bbox.bounds
    assert [text for text, box in found if Bbox.union([figure.bbox, box]).bounds != whole] == []
    assert [(one, other) for (one, a), (other, b) in combinations(found, 2) if a.overlaps(b)] == []


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_training_curves_have_a_place_each_and_leave_the_last_one_empty_if_they_are_odd(
    count: int,
) -> None:
    panels = PANELS[:count]
    figure = curves.training_curves(panels)
    assert_readable(
        figure,
        *(f"{style.capitalized(panel.title)}: {panel.measure}" for panel in panels),
        *("training images, mean while the weights change", "test images, after the epoch"),
    )
    shown = [axes.axison for axes in figure.axes]
    assert shown == [True] * count + [False] * (count % 2 and count > 1)
    assert [len(axes.lines) > 1 for axes in figure.axes] == shown


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("classes", [3, 10, 47])
def test_a_code_map_has_a_place_for_each_autoencoder(
    params: PipelineParams, count: int, classes: int
) -> None:
    images = params.section("visualize").map_images
    points = np.random.default_rng(0).standard_normal((images, 2), np.float32)
    plane = Plane(points, np.array([0.21, 0.13], np.float32))
    labels = np.arange(images, dtype=np.uint8) % classes
    figure = codes.code_map(dict.fromkeys(TITLES[:count], plane), labels, np.arange(classes))
    assert_readable(figure, *TITLES[:count], "class", f"{classes - 1}")
    assert sum(axes.get_title("left") in TITLES for axes in figure.axes) == count


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_comparison_has_a_row_for_each_autoencoder(
    digits: Dataset, count: int, classes: int
) -> None:
    images = digits.test_images[:classes]
    restored = (images / 255).astype(np.float32) ** 0.5
    errors = np.square(restored - images / 255).mean(axis=(1, 2)).astype(np.float32)
    figure = pictures.comparison(
        images,
        np.arange(classes),
        dict.fromkeys(LABELS[:count], restored),
        dict.fromkeys(LABELS[:count], errors),
    )
    rows = (f"{label}\n(squared error\nper pixel)" for label in LABELS[:count])
    assert_readable(figure, "original", *rows, *(f"{error:.4f}" for error in errors))


def test_an_autoencoder_more_has_a_colour_a_marker_and_a_place_in_the_legend() -> None:
    sizes = (4, 8, 16, 32, 64, 100)
    points = [
        *(Point(TITLES[0], size, 0.3 / size**0.3, 40 + size / 9) for size in sizes),
        Point(TITLES[1], 3136, 0.0629, 45),
        *(Point(TITLES[2], size, 0.33 / size**0.3, 30 + size / 5) for size in sizes),
    ]
    figure = rate_distortion.rate_distortion(points)
    assert_readable(figure, *TITLES[:3], "3,136", "4", "100")
    marked = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
    looks = [(line.get_label(), line.get_color(), line.get_marker()) for line in marked]
    assert looks == list(zip(TITLES[:3], style.MODELS[:3], "osD", strict=True))


NAMES = {
    "words": np.array(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    ),
    "garments": np.array(
        [
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt"),
            *("Sneaker", "Bag", "Ankle boot"),
        ]
    ),
    "sums": np.array([f"${index}$ for $x_{index}" for index in range(10)]),
    "endless": np.array([f"{index} {'x' * 98}" for index in range(10)]),
}
every_name = pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)


@every_name
@pytest.mark.parametrize("draw", [labelled, confusion_matrix, confident_mistakes])
@pytest.mark.usefixtures("tensorflow")
def test_classes_with_names_have_room_for_them(
    digits: Dataset, draw: Callable[[Material], Figure], names: pictures.Names
) -> None:
    drawn = replace(material(digits, classes=10, side=28), names=names)
    figure = draw(drawn)
    assert_readable(figure)
    assert style.class_name(names[0]) in " ".join(text for text, _ in texts(figure))


@every_name
def test_a_comparison_of_classes_with_names_has_room_for_them(
    digits: Dataset, names: pictures.Names
) -> None:
    images = digits.test_images[:10]
    restored = (images / 255).astype(np.float32)
    figure = pictures.comparison(
        images, names, {"dense": restored}, {"dense": np.zeros(10, np.float32)}
    )
    assert_readable(figure, *map(style.class_name, names))


@every_name
def test_a_code_map_of_classes_with_names_lists_them(names: pictures.Names) -> None:
    plane = Plane(np.eye(10, 2, dtype=np.float32), np.array([0.2, 0.1], np.float32))
    figure = codes.code_map({TITLES[0]: plane}, np.arange(10, dtype=np.uint8), names)
    assert_readable(figure, *map(style.class_name, names))


@every_name
def test_a_contact_sheet_has_a_row_of_as_many_images_as_there_are_beside_each_name(
    digits: Dataset, names: pictures.Names
) -> None:
    samples = {str(name): [*digits.test_images[: 1 + row]] for row, name in enumerate(names)}
    figure = contact_sheet("my digits.npz", samples)
    assert_readable(figure, "my digits.npz", *map(style.class_name, names))
    picture = figure.axes[0].images[0].get_array()
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (10 * 30 - 2, 10 * 30 - 2)
    for row in range(10):
        for column in range(10):
            cell = picture[row * 30 :, column * 30 :][:28, :28]
            shown = digits.test_images[column] if column <= row else 255
            assert (cell == shown).all()


def test_a_name_is_drawn_letter_by_letter_by_latex_too() -> None:
    assert style.class_name("5$ & 10%") == r"5\$ & 10%"
    with mpl.rc_context({"text.usetex": True}):
        assert style.class_name("5$ & 10%") == r"5\$ \& 10\%"
        assert style.class_name("a_b{c}~^") == r"a\_b\{c\}\textasciitilde{}\textasciicircum{}"


@pytest.mark.parametrize("side", [14, 26, 28, 56])
def test_each_feature_map_has_its_number_below_its_middle(side: int) -> None:
    figure = pictures.feature_maps(
        "autoencoder", np.zeros((2, 28, 28), np.uint8), np.ones((2, side, side, 3), np.float32)
    )
    axes = figure.axes[-1]
    (picture,) = axes.get_images()
    drawn = np.isfinite(np.ma.filled(np.ma.asarray(picture.get_array()), np.nan)[0])
    maps = np.split(np.flatnonzero(drawn), 3)
    assert axes.get_xticks() == pytest.approx([columns.mean() for columns in maps])
