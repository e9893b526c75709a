"""Figures: drawn for any dataset, and with the same bytes on any machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.data.datasets import Dataset, Images, Labels
from pipeline.errors import MachineError
from pipeline.figures import classification, codes, curves, neuron, style
from pipeline.figures import digits as pictures
from pipeline.figures.curves import Panel
from pipeline.figures.plane import principal_plane
from pipeline.outs import artifacts
from pipeline.outs.artifacts import Row
from pipeline.training.predictions import Floats

pytestmark = [
    pytest.mark.usefixtures("tensorflow"),
    # What can't be laid out or computed is warned of.
    pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning"),
]


@dataclass(frozen=True)
class Material:
    """What `visualize` has to draw from, in place of the models' outputs what looks like them."""

    images: Images
    labels: Labels
    names: pictures.Names
    probabilities: Floats
    dense_codes: Floats
    conv_codes: Floats
    restored: Floats
    errors: Floats


def material(dataset: Dataset, classes: int, side: int) -> Material:
    images = dataset.test_images[:, 14 - side // 2 :, 14 - side // 2 :][:, :side, :side]
    labels = np.arange(len(images), dtype=np.uint8) % classes
    scaled = (images / 255).astype(np.float32)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(classes), len(images))
    return Material(
        images,
        labels,
        names=np.arange(classes) * 7,
        probabilities=probabilities.astype(np.float32),
        dense_codes=scaled.reshape(len(images), -1)[:, ::15],  # 5 or 53: they fill no rectangle
        conv_codes=np.repeat(scaled[:, ::2, ::2, np.newaxis], 6, axis=3),
        restored=scaled**0.5,
        errors=np.square(scaled - scaled**0.5).mean(axis=(1, 2)),
    )


def history(epochs: int) -> list[Row]:
    names = ("loss", "accuracy", "test_loss", "test_accuracy")
    return [
        {"epoch": epoch} | dict.fromkeys(names, 1 - 1 / (1 + epoch))
        for epoch in range(1, epochs + 1)
    ]


def one_neuron(_: Material) -> Figure:
    return neuron.relu_neuron([1.0])


def neurons(_: Material) -> Figure:
    return neuron.relu_neuron([1.0, 5.0, 0.2, -3.0])


def labelled(drawn: Material) -> Figure:
    return pictures.labelled(drawn.images[:10], drawn.names[drawn.labels[:10]])


def confusion_matrix(drawn: Material) -> Figure:
    predicted = drawn.probabilities.argmax(axis=1).astype(np.uint8)
    return classification.confusion_matrix("classifier", drawn.labels, predicted, drawn.names)


def confident_mistakes(drawn: Material) -> Figure:
    return classification.confident_mistakes(
        "classifier", drawn.images, drawn.labels, drawn.probabilities, drawn.names
    )


def dense_codes(drawn: Material) -> Figure:
    return pictures.codes(
        "dense autoencoder", drawn.images[:5], drawn.dense_codes[:5], drawn.restored[:5]
    )


def conv_codes(drawn: Material) -> Figure:
    return pictures.codes(
        "convolutional autoencoder", drawn.images[:5], drawn.conv_codes[:5], drawn.restored[:5]
    )


def feature_maps(drawn: Material) -> Figure:
    return pictures.feature_maps(
        "convolutional autoencoder", drawn.images[:5], drawn.conv_codes[:5]
    )


def comparison(drawn: Material) -> Figure:
    chosen = np.unique(drawn.labels, return_index=True)[1][:10]
    return pictures.comparison(
        drawn.images[chosen],
        drawn.names[drawn.labels[chosen]],
        {"dense": drawn.restored[chosen], "convolutional": drawn.restored[chosen]},
        {"dense": drawn.errors[chosen], "convolutional": drawn.errors[chosen]},
    )


def code_map(drawn: Material) -> Figure:
    planes = {
        "dense autoencoder": principal_plane(drawn.dense_codes),
        "convolutional autoencoder": principal_plane(drawn.conv_codes),
    }
    return codes.code_map(planes, drawn.labels, drawn.names)


def training_curves(_: Material) -> Figure:
    return curves.training_curves(
        [
            Panel("classifier", "accuracy", history(30), 0.95),
            Panel("classifier", "cross-entropy", history(30)),
            Panel("dense autoencoder", "binary cross-entropy", history(100)),
            Panel("convolutional autoencoder", "binary cross-entropy", history(1)),
        ]
    )


Draw = Callable[[Material], Figure]
OF_IMAGES: list[Draw] = [
    labelled,
    confusion_matrix,
    confident_mistakes,
    dense_codes,
    conv_codes,
    feature_maps,
    comparison,
    code_map,
]
OTHERS: list[Draw] = [one_neuron, neurons, training_curves]


def png(draw: Draw, drawn: Material, folder: Path) -> bytes:
    with style.applied(usetex=False):
        artifacts.write_figure(folder / "figure.png", draw(drawn))
    return (folder / "figure.png").read_bytes()


@pytest.mark.parametrize(("classes", "side"), [(3, 8), (30, 8)])
@pytest.mark.parametrize("draw", OF_IMAGES)
def test_a_figure_of_images_can_be_drawn_of_few_and_of_many_classes(
    digits: Dataset, draw: Draw, classes: int, side: int
) -> None:
    with style.applied(usetex=False):
        draw(material(digits, classes, side)).draw_without_rendering()


@pytest.mark.parametrize("draw", OF_IMAGES + OTHERS)
def test_a_figure_is_the_same_file_whatever_style_the_user_has_set(
    digits: Dataset, tmp_path: Path, draw: Draw
) -> None:
    drawn = material(digits, classes=10, side=28)
    plain = png(draw, drawn, tmp_path)
    with mpl.rc_context({"font.size": 30, "savefig.facecolor": "red", "image.cmap": "jet"}):
        assert png(draw, drawn, tmp_path) == plain


def test_a_figures_file_names_no_version(digits: Dataset, tmp_path: Path) -> None:
    content = png(one_neuron, material(digits, classes=10, side=28), tmp_path)
    assert content.startswith(b"\x89PNG")
    assert b"matplotlib" not in content.lower()


def test_the_style_ends_with_its_block() -> None:
    mpl.get_backend()  # settles the one setting that is open until it is asked for
    before = mpl.rcParams.copy()
    with style.applied(usetex=False):
        assert mpl.rcParams != before
    assert mpl.rcParams == before


def test_latex_that_is_not_installed_is_told_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(MachineError, match="usetex is true, but found no latex and no dvipng"),
        style.applied(usetex=True),
    ):
        pytest.fail("work began")


def test_a_neuron_is_drawn_at_the_textbooks_hundred_values() -> None:
    with style.applied(usetex=False):
        lines = neuron.relu_neuron([1.0, 5.0, 0.2]).axes[0].get_lines()
    assert [line.get_linestyle() for line in lines] == ["-", ":", "--"]
    for line, weight in zip(lines, (1.0, 5.0, 0.2), strict=True):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert x.tolist() == np.linspace(-5, 5, 100).tolist()
        assert y.tolist() == np.maximum(0, x * weight).tolist()


def test_a_confusion_matrix_counts_true_classes_in_rows() -> None:
    true, predicted = np.array([[0, 0, 0, 1], [1, 1, 0, 1]], np.uint8)
    axes = classification.confusion_matrix("classifier", true, predicted, np.arange(2)).axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "1", (1, 0): "2", (1, 1): "1"}


def test_the_most_confident_mistakes_come_surest_first_and_no_hit_among_them() -> None:
    labels = np.array([0, 0, 0, 1], np.uint8)
    probabilities = np.array([[0.4, 0.6], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)
    images = np.zeros((4, 8, 8), np.uint8)
    figure = classification.confident_mistakes(
        "classifier", images, labels, probabilities, np.array([5, 9])
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:4] == ["9 (80.0%), is 5", "5 (70.0%), is 9", "9 (60.0%), is 5", ""]


def test_a_classifier_without_mistakes_leaves_the_grid_empty(digits: Dataset) -> None:
    perfect = np.eye(10, dtype=np.float32)[digits.test_labels]
    figure = classification.confident_mistakes(
        "classifier", digits.test_images, digits.test_labels, perfect, digits.classes
    )
    assert not any(axes.get_images() for axes in figure.axes)
