"""docs/extending.md's form of images, followed to the letter: a module, and its place in a list."""

import gzip
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.files import images, readers
from pipeline.errors import DataError
from tests.data.sections import unheard
from tests.data.test_forms import IMAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def _extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts that of the page before the other forms."""
    text = (ROOT / "docs/extending.md").read_text().split("\n## A form of images\n")[1]
    (code,) = re.findall(r"```python\n# pipeline/data/files/pgm_file.py\n(.*?)```", text, re.DOTALL)
    (tmp_path / "pgm_file.py").write_text(code)
    spec = importlib.util.spec_from_file_location("pgm_file", tmp_path / "pgm_file.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    monkeypatch.setattr(readers, "READERS", (found, *readers.READERS))


@pytest.mark.usefixtures("_extended")
@pytest.mark.parametrize("packed", [False, True])
def test_the_form_of_the_page_is_read(tmp_path: Path, packed: bool) -> None:
    content = b"P5\n28 28\n255\n" + IMAGES[0].tobytes()
    path = tmp_path / "digit"
    path.write_bytes(gzip.compress(content) if packed else content)
    source = readers.source(path)
    (read,) = images.batches(source, "test", unheard, to_grey=False, transpose=False)
    np.testing.assert_array_equal(read, IMAGES[:1])


@pytest.mark.usefixtures("_extended")
@pytest.mark.parametrize("content", [b"P5", b"P5 28 28 255\n", b"P5 99999 99999 255\n1"])
def test_a_broken_file_of_it_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "digit").write_bytes(content)
    with pytest.raises(DataError, match=f"^{tmp_path / 'digit'}: found .* expected ") as caught:
        readers.read(tmp_path / "digit", "images", "train")
    assert str(caught.value).isprintable()
