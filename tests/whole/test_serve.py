"""The champion, served over HTTP: raw images in, answers out, and a 400 for whatever else."""

import base64
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image

from tests.data.test_hostile_forms import in_16_bits_a_colour
from tests.whole.repositories import ROOT, Repository, make_repository, served, with_epochs
from tests.whole.serving import post

pytestmark = pytest.mark.slow

SERVING = ROOT / "docs/serving.md"
BLANK = np.zeros((1, 28, 28), dtype=int)


@pytest.fixture(scope="module")
def classifier(promoted: Repository) -> Iterator[str]:
    with served(promoted, "train_classifier") as url:
        yield url


def images(repository: Repository) -> npt.NDArray[np.uint8]:
    loaded: npt.NDArray[np.uint8] = np.load(repository.path / "data/prepared/test_images.npy")
    return loaded


def test_the_served_classifier_is_as_good_as_the_metrics_file_says(
    promoted: Repository, classifier: str
) -> None:
    status, answer = post(classifier, {"inputs": images(promoted).tolist()})
    assert status == 200
    assert set(answer["predictions"]) == {"class", "probabilities"}
    labels = np.load(promoted.path / "data/prepared/test_labels.npy")
    stated = json.loads((promoted.path / "data/metrics/train_classifier.json").read_text())
    right = np.mean(np.array(answer["predictions"]["class"]) == labels)
    assert right == pytest.approx(stated["test_accuracy"], abs=1e-9)
    probabilities = np.array(answer["predictions"]["probabilities"])
    assert probabilities.shape == (len(labels), 10)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_many_clients_at_once_get_their_own_answers(promoted: Repository, classifier: str) -> None:
    some = images(promoted)[:24]
    _, together = post(classifier, {"inputs": some.tolist()})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda image: post(classifier, {"inputs": [image.tolist()]}), some))
    one_by_one = [answer["predictions"]["class"][0] for _, answer in answers]
    assert one_by_one == together["predictions"]["class"]


TURNED = Image.Exif()
TURNED[ExifTags.Base.Orientation] = 6  # as cameras say: lies on its left side


def picture(pixels: npt.NDArray[np.uint8], kind: str = "PNG", **options: Any) -> str:
    """An image file, as a client sends it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return base64.b64encode(file.getvalue()).decode()


def test_an_image_is_answered_alike_in_each_form_that_clients_send(
    promoted: Repository, classifier: str
) -> None:
    image = images(promoted)[0]
    _, usual = post(classifier, {"inputs": [image.tolist()]})
    in_colours = np.repeat(image[..., None], 3, axis=2)  # as a browser's canvas saves grey
    for sent in (
        image.tolist(),
        image[None, ..., None].tolist(),
        [picture(image)],
        picture(image),
        [picture(in_colours)],
        [picture(np.rot90(image), exif=TURNED)],
    ):
        assert post(classifier, {"inputs": sent}) == (200, usual)


def test_a_jpeg_is_answered_as_what_is_left_of_its_image(
    promoted: Repository, classifier: str
) -> None:
    sent = picture(images(promoted)[0], "JPEG", quality=100)
    kept = np.asarray(Image.open(io.BytesIO(base64.b64decode(sent))))
    _, as_pixels = post(classifier, {"inputs": [kept.tolist()]})
    assert post(classifier, {"inputs": [sent]}) == (200, as_pixels)


IN_COLOUR = np.zeros((28, 28, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param({"inputs": BLANK[:, :27].tolist()}, "found shape (1, 27, 28)", id="27 rows"),
        pytest.param({"inputs": BLANK[0, 0].tolist()}, "found shape (28,)", id="a row"),
        pytest.param({"inputs": 7}, "found a int", id="a number"),
        pytest.param({"inputs": (BLANK + 0.5).tolist()}, "found float64", id="scaled to 0..1"),
        pytest.param({"inputs": (BLANK + 0.9).tolist()}, "found float64", id="nearly 1"),
        pytest.param({"inputs": (BLANK + 0.0).tolist()}, "found float64", id="whole floats"),
        pytest.param({"inputs": (BLANK + 256).tolist()}, "found values 256 to 256", id="256"),
        pytest.param({"inputs": (BLANK - 1).tolist()}, "found values -1 to -1", id="negative"),
        pytest.param({"inputs": [[[2**70] * 28] * 28]}, "found object", id="beyond 64 bits"),
        pytest.param({"inputs": [[[None] * 28] * 28]}, "found object", id="null"),
        pytest.param({"inputs": [[["7"] * 28] * 28]}, "found <U1", id="text"),
        pytest.param({"inputs": [[[True] * 28] * 28]}, "found bool", id="bool"),
        pytest.param({"inputs": []}, "found shape (0,)", id="empty list"),
        pytest.param({"inputs": [[[1, 2], [3]]]}, "found lists of unequal lengths", id="ragged"),
        pytest.param({"inputs": {"a": BLANK.tolist()}}, "found a dict", id="named"),
        pytest.param({"inputs": ["c2V2ZW4="]}, "are no PNG or JPEG file", id="no picture"),
        pytest.param({"inputs": "seven!"}, "are no PNG or JPEG file", id="no base64"),
        pytest.param({"inputs": [picture(IN_COLOUR)]}, "with colours", id="in colour"),
        pytest.param(
            {"inputs": [picture(np.zeros((27, 28), np.uint8))]},
            "found a picture of 28 x 27 pixels",
            id="small picture",
        ),
        pytest.param(
            {"inputs": [picture(np.zeros((28, 28), np.uint16))]},
            "found a picture of 16 bits",
            id="16 bits",
        ),
        pytest.param(
            {"inputs": [base64.b64encode(in_16_bits_a_colour(IN_COLOUR[..., 1])).decode()]},
            "found a picture of 16 bits",
            id="16 bits a colour",
        ),
        pytest.param(
            {"inputs": [picture(np.zeros((28, 28), np.uint8), "BMP")]}, "are no PNG", id="BMP"
        ),
    ],
)
def test_what_holds_no_raw_images_gets_a_400_that_says_why_in_a_line(
    classifier: str, body: Any, told: str
) -> None:
    status, answer = post(classifier, body)
    assert status == 400
    assert told in answer["message"]
    assert answer["message"].endswith(
        ", expected whole numbers 0 to 255 of shape (n, 28, 28), n > 0, "
        "or n texts of PNG or JPEG files in base64"
    )
    assert len(answer["message"]) < 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param({"instances": BLANK.tolist()}, "with 'inputs' key", id="instances"),
        pytest.param({"dataframe_split": {"data": [[1]]}}, "with 'inputs' key", id="table"),
        pytest.param({"images": BLANK.tolist()}, "with 'inputs' key", id="other key"),
        pytest.param(BLANK.tolist(), "Received a list", id="no key"),
        pytest.param(b"seven", "valid JSON", id="not JSON"),
        pytest.param(b"", "valid JSON", id="nothing"),
    ],
)
def test_what_is_no_request_gets_the_servers_own_400(classifier: str, body: Any, told: str) -> None:
    status, answer = post(classifier, body)
    assert status == 400
    assert told in answer["message"]


def test_the_curl_call_of_the_documentation_gets_digits(
    promoted: Repository, classifier: str
) -> None:
    (script,) = (
        block
        for block in re.findall(r"```sh\n(.*?)```", SERVING.read_text(), re.DOTALL)
        if "curl" in block
    )
    address = "http://127.0.0.1:5001/invocations"
    assert address in script
    printed = promoted.run("bash", "-euc", script.replace(address, classifier))
    (promoted.path / "images.json").unlink()
    assert len(json.loads(printed)["predictions"]["class"]) == 3


def test_another_content_type_is_told_the_right_ones(classifier: str) -> None:
    status, text = post(classifier, b"{}", "application/x-www-form-urlencoded")
    assert status == 415
    assert "application/json" in text


def test_it_listens_on_this_machine_alone(classifier: str) -> None:
    from tests.whole.test_readme import listening

    assert listening(int(classifier.split(":")[2].partition("/")[0])) == {"127.0.0.1"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("stage", ["train_dense_ae", "train_conv_ae"])
def test_a_served_autoencoder_reconstructs_as_well_as_its_metrics_say(
    promoted: Repository, stage: str
) -> None:
    with served(promoted, stage) as url:
        status, answer = post(url, {"inputs": images(promoted).tolist()})
        assert status == 200
        assert post(url, {"inputs": (BLANK + 0.5).tolist()})[0] == 400
    error = np.mean((np.array(answer["predictions"]) - images(promoted) / 255) ** 2)
    stated = json.loads((promoted.path / f"data/metrics/{stage}.json").read_text())
    assert error == pytest.approx(stated["test_mse"], abs=1e-6)


@pytest.mark.exhaustive
def test_all_10000_test_images_are_answered_as_the_metrics_say_and_a_brief_training_is_refused(
    tmp_path: Path,
) -> None:
    full = make_repository(tmp_path, full=True)
    full.dvc("repro", "train_classifier")
    promote = ("-m", "pipeline", "promote", "--stage", "train_classifier")
    full.python(*promote)
    stated = json.loads((full.path / "data/metrics/train_classifier.json").read_text())
    with served(full, "train_classifier") as url:
        status, answer = post(url, {"inputs": images(full).tolist()})
    assert status == 200
    labels = np.load(full.path / "data/prepared/test_labels.npy")
    assert len(labels) == 10_000
    right = np.mean(np.array(answer["predictions"]["class"]) == labels)
    assert right == pytest.approx(stated["test_accuracy"], abs=1e-9)

    full.edit_params(lambda text: with_epochs(text, {"train_classifier": 3}))
    full.dvc("repro", "train_classifier")
    brief = json.loads((full.path / "data/metrics/train_classifier.json").read_text())
    found, rival = brief["test_accuracy"], stated["test_accuracy"]
    assert full.python(*promote, code=1) == (
        f"error: mnist-classifier: version 2 does not become champion: test_accuracy {found:g} "
        f"against {rival:g} of version 1 is worse by {rival - found:g}, "
        "expected better by at least 0.001\n"
    )


def test_without_a_champion_it_says_what_makes_one(repository: Repository) -> None:
    assert repository.main("serve", code=1) == (
        "error: mnist-classifier: found no champion, expected one; `make promote` makes it\n"
    )
