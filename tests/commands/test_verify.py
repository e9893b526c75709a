"""`make verify`: a folder that differs is compared file by file, however deep they lie."""

import json
from pathlib import Path

from pipeline.commands import verify
from pipeline.outs.dvc_lock import StageState


def written(root: Path, values: dict[str, int]) -> Path:
    """A folder `out` below `root`, with a JSON file for each of `values`."""
    for name, value in values.items():
        path = root / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"value": value}))
    return root


def test_every_file_that_differs_in_a_folder_or_below_it_is_named(tmp_path: Path) -> None:
    rebuilt = written(tmp_path / "rebuilt", {"a.json": 1, "sub/same.json": 2, "sub/b.json": 3})
    expected = written(tmp_path / "expected", {"a.json": 1, "sub/same.json": 2, "sub/b.json": 7})
    state = StageState("visualize", "true", deps={}, params={}, outs={"out": "another.dir"})
    assert list(verify._compare(state, rebuilt, expected, twice=False)) == [
        verify.Out("out/sub/b.json", "visualize", same=False, difference=4.0)
    ]
