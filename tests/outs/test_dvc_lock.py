"""What `lock` says of a stage is what DVC says: compared with DVC itself, in a small repository."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dvc.lock import Lock

from pipeline.errors import LockError, ParamsError
from pipeline.outs import dvc_lock, paths

FILES = {
    "dvc.yaml": """\
stages:
  make:
    cmd: mkdir -p out/deep && cp words.txt out/deep && cp -r code/a curves && echo 1 > n.json
    deps: ["${source.words}", code]
    params: [seed, training, other.used]
    outs: [out]
    metrics:
      - n.json: {cache: false}
    plots:
      - curves: {cache: false}
""",
    "params.yaml": """\
seed: 42
training: {epochs: 3, rate: 1.0e-7, names: [ä, b], nested: {on: true, off: ~}}
other: {used: 1, unused: 2}
source: {words: words.txt}
""",
    "words.txt": "Wörter\r\n",
    "code/main.py": "print()\n",
    # Their order depends on whether folders are compared as a part or within the whole path.
    "code/a/z.py": "z = 1\n",
    "code/a.py": "a = 1\n",
    "code/a-b/x.py": "x = 1\n",
    "code/ä.txt": "ä\n",
    "code/empty": "",
    "code/__pycache__/main.pyc": "not code",
    ".dvcignore": "__pycache__\n",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, new_repository: Path) -> Path:
    """A repository whose one stage DVC has run."""
    root = tmp_path_factory.mktemp("made")
    shutil.copytree(new_repository, root, dirs_exist_ok=True)
    dvc = (sys.executable, "-m", "dvc")
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode())
    subprocess.run([*dvc, "repro", "--quiet"], cwd=root, check=True)
    return root


@pytest.fixture
def repository(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change at will, and the working directory."""
    copy = shutil.copytree(made, tmp_path / "copy", ignore=shutil.ignore_patterns(".git", ".dvc"))
    monkeypatch.chdir(copy)
    return copy


def _edit(name: str, old: str, new: str) -> Callable[[], None]:
    def edit() -> None:
        text = Path(name).read_text()
        assert old in text
        Path(name).write_text(text.replace(old, new))

    return edit


@pytest.mark.usefixtures("repository")
def test_the_current_state_is_what_dvc_records() -> None:
    current, locked = dvc_lock.current("make"), dvc_lock.locked("make")
    assert current.deps == locked.deps
    assert set(current.deps) == {"words.txt", "code"}
    assert current.params == locked.params
    assert set(current.params) == {"seed", "training", "other.used"}
    assert current.outs == locked.outs
    assert set(current.outs) == {"out", "n.json", "curves"}
    assert current == locked
    assert current.fingerprint == locked.fingerprint


def test_another_repository_can_be_asked(
    made: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository / "code")
    assert dvc_lock.current("make", made) == dvc_lock.locked("make", made)


changes = pytest.mark.parametrize(
    ("edit", "changed"),
    [
        pytest.param(_edit("words.txt", "W", "w"), "words.txt", id="file"),
        pytest.param(_edit("code/a/z.py", "1", "2"), "code", id="file in a folder"),
        pytest.param(lambda: Path("code/a.py").rename("code/b.py"), "code", id="name in a folder"),
        pytest.param(lambda: Path("code/new.py").touch(), "code", id="new file in a folder"),
        pytest.param(_edit("params.yaml", "seed: 42", "seed: 43"), "seed", id="param"),
        pytest.param(
            _edit("params.yaml", "epochs: 3", "epochs: 4"), "training", id="param of a section"
        ),
        pytest.param(_edit("params.yaml", "used: 1", "used: 0"), "other.used", id="dotted param"),
        pytest.param(_edit("dvc.yaml", "echo 1", "echo 2"), "dvc.yaml", id="command"),
    ],
)
other_changes = pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_edit("params.yaml", "unused: 2", "unused: 3"), id="another param"),
        pytest.param(_edit("params.yaml", "seed: 42", "seed: 42  # the answer"), id="comment"),
        pytest.param(_edit("code/__pycache__/main.pyc", "not", "no"), id="bytecode"),
        pytest.param(_edit("n.json", "1", "2"), id="out"),
        pytest.param(lambda: shutil.rmtree("out"), id="missing out"),
    ],
)


@pytest.mark.usefixtures("repository")
@changes
def test_whatever_the_stage_depends_on_changes_its_fingerprint(
    edit: Callable[[], None], changed: str
) -> None:
    before = dvc_lock.current("make")
    edit()
    now = dvc_lock.current("make")
    assert now.fingerprint != before.fingerprint
    assert changed == "dvc.yaml" or before.deps | before.params != now.deps | now.params


@pytest.mark.usefixtures("repository")
@other_changes
def test_nothing_else_changes_the_fingerprint(edit: Callable[[], None]) -> None:
    before = dvc_lock.current("make").fingerprint
    edit()
    assert dvc_lock.current("make").fingerprint == before


@pytest.mark.usefixtures("repository")
@changes
def test_results_are_refused_when_what_they_depend_on_changes_meanwhile(
    edit: Callable[[], None], changed: str
) -> None:
    told = rf"^make: {changed} changed while it ran, expected what it began with; "
    with pytest.raises(LockError, match=told), dvc_lock.held(dvc_lock.current("make")):
        edit()


@pytest.mark.usefixtures("repository")
@other_changes
def test_results_are_kept_when_something_else_changes_meanwhile(edit: Callable[[], None]) -> None:
    with dvc_lock.held(dvc_lock.current("make")):
        edit()


@pytest.mark.usefixtures("repository")
def test_only_outs_that_are_there_are_current() -> None:
    shutil.rmtree("out")
    Path("n.json").write_text(json.dumps({"n": 2}))
    current, locked = dvc_lock.current("make").outs, dvc_lock.locked("make").outs
    assert set(current) == {"n.json", "curves"}
    assert current["curves"] == locked["curves"]
    assert current["n.json"] != locked["n.json"]


@pytest.mark.usefixtures("repository")
def test_a_lock_file_that_dvc_is_writing_is_read_when_it_is_whole() -> None:
    whole, expected = paths.LOCK.read_text(), dvc_lock.locked("make")
    paths.DVC_LOCK.parent.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        with Lock(paths.DVC_LOCK):  # DVC's own
            paths.LOCK.write_text(whole[: len(whole) // 2])
            found = pool.submit(dvc_lock.locked, "make")
            with pytest.raises(TimeoutError):
                found.result(timeout=0.5)
            paths.LOCK.write_text(whole)
        assert found.result() == expected


@pytest.mark.usefixtures("repository")
def test_a_lock_file_that_dvc_was_killed_in_writing_is_removed() -> None:
    whole = paths.LOCK.read_bytes()
    paths.DVC_LOCK.parent.mkdir(parents=True)
    for left in (0, len(whole) // 2, len(whole) - 1):
        paths.LOCK.write_bytes(whole[:left])
        assert dvc_lock.mend()
        assert not paths.LOCK.exists()
    assert not dvc_lock.mend()


@pytest.mark.usefixtures("repository")
def test_a_lock_file_that_dvc_is_writing_is_not_mended() -> None:
    whole = paths.LOCK.read_bytes()
    paths.DVC_LOCK.parent.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        with Lock(paths.DVC_LOCK):
            paths.LOCK.write_bytes(b"")
            mended = pool.submit(dvc_lock.mend)
            with pytest.raises(TimeoutError):
                mended.result(timeout=0.5)
            paths.LOCK.write_bytes(whole)
        assert not mended.result()
    assert paths.LOCK.read_bytes() == whole


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("look", "told"),
    [
        (lambda: dvc_lock.locked("bake"), "dvc.lock: found no stage 'bake'"),
        (lambda: dvc_lock.current("bake"), "dvc.yaml: found no stage 'bake'"),
        (lambda: dvc_lock.locked("make", Path("out")), "out/dvc.lock: not found; `make repro`"),
        (lambda: dvc_lock.hashes(["words.txt", "gone"]), "gone: can't be read: No such file"),
    ],
)
def test_what_is_missing_is_told_in_one_line(look: Callable[[], object], told: str) -> None:
    with pytest.raises(LockError) as caught:
        look()
    assert str(caught.value).startswith(told)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("repository")
def test_a_missing_dep_is_named() -> None:
    Path("words.txt").unlink()
    with pytest.raises(LockError, match=r"^words\.txt: can't be read: No such file"):
        dvc_lock.current("make")


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ("seed: 42\nsource: {words: words.txt}\nother: {used: 1}\n", "training"),
        ("seed: 42\nsource: {words: words.txt}\nother: 1\ntraining: {}\n", "other.used"),
        ("seed: 42\nsources: {words: words.txt}\n", "source.words"),
        ("", "source.words"),
    ],
    ids=["a section", "a key", "a path", "all"],
)
def test_a_missing_param_is_named(content: str, missing: str) -> None:
    Path("params.yaml").write_text(content)
    with pytest.raises(ParamsError) as caught:
        dvc_lock.current("make")
    told = f"params.yaml: found no '{missing}', expected one; dvc.yaml names it"
    assert str(caught.value) == told
