"""The page of `make report`, of a real repository of git and DVC, and what it says of changes."""

import base64
import hashlib
import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipeline import __main__
from pipeline.reproduction import dvc_cache
from tests.report.conftest import Project
from tests.report.html import Element, read


def _page(*arguments: str) -> Element:
    return read(_text(*arguments))


def _text(*arguments: str) -> str:
    __main__.main(["report", *arguments])
    return Path("report.html").read_text()


def _section(page: Element, name: str) -> Element:
    (found,) = [each for each in page.all("section") if each.attributes["id"] == name]
    return found


def _rows(section: Element) -> list[list[str]]:
    return [[cell.words() for cell in row.all("th", "td")] for row in section.all("tr")]


def _md5s(element: Element) -> list[str]:
    """Those of the pictures in it."""
    sources = [image.attributes["src"] for image in element.all("img")]
    contents = [base64.b64decode(source.partition("base64,")[2]) for source in sources]
    return [hashlib.md5(content).hexdigest() for content in contents]  # noqa: S324


def _md5(path: str) -> str:
    return hashlib.md5(Path(path).read_bytes()).hexdigest()  # noqa: S324 - DVC's own hash


@pytest.mark.usefixtures("project")
def test_results_params_and_provenance_are_those_of_dvc_lock() -> None:
    page = _page()
    assert ["score", "0.5"] in _rows(_section(page, "metrics"))
    assert ["<i>count</i>", "1,200"] in _rows(_section(page, "metrics"))
    assert ["per_class", "10, 20"] in _rows(_section(page, "metrics"))
    assert ["grey", "200"] in _rows(_section(page, "params"))
    assert ["picture.png", _md5("picture.png")] in _rows(_section(page, "provenance"))
    assert "Draw <b>a picture</b> & count." in _section(page, "provenance").words()
    assert _md5s(_section(page, "figures")) == [_md5("picture.png")]
    (chart,) = _section(page, "curves").all("figure")
    assert chart.all("svg")[0].attributes["aria-label"] == (
        "Draw, loss by epoch: loss from 1 to 0.25; test_loss from 2 to 0.5"
    )
    assert "changes" not in [section.attributes["id"] for section in page.all("section")]


def test_the_page_says_which_commit_it_is_of_and_whether_files_differ(project: Project) -> None:
    commit = project.run("git", "rev-parse", "HEAD").strip()
    page = _page()
    assert f"{commit[:8]}, " in page.all("header")[0].words()
    assert f"Commit {commit}." in _section(page, "provenance").words()
    Path("dvc.yaml").write_text(Path("dvc.yaml").read_text() + "\n# edited\n")
    assert f"{commit[:8]} with uncommitted changes, " in _page().all("header")[0].words()


@pytest.mark.usefixtures("project")
def test_results_that_the_code_no_longer_makes_are_marked() -> None:
    assert "Out of date" not in _page().words()
    Path("params.yaml").write_text("draw: {grey: 7, epochs: 4}\n")
    assert "Out of date. The code, data or params of draw have" in _page().words()


@pytest.mark.usefixtures("project")
def test_what_changed_is_told_with_both_values() -> None:
    page = _page("--against", "first")
    rows = _rows(_section(page, "changes"))
    assert ["score", "0.75", "0.5", "\N{MINUS SIGN}0.25"] in rows
    assert ["draw.grey", "100", "200"] in rows
    assert ["draw.epochs", "3", "4"] in rows
    (dep,) = [row for row in rows if row[0].startswith("in ")]
    assert dep[0] == "in history.csv, metrics.json, picture.png in draw"
    assert all(re.fullmatch("[0-9a-f]{8}", md5) for md5 in dep[1:])
    assert not [row for row in rows if "count" in row[0]]
    assert "first <commit>" in page.all("header")[0].words()


def test_a_picture_that_changed_is_beside_the_one_that_it_was(project: Project) -> None:
    page = _page("--against", "first")
    (figure,) = _section(page, "figures").all("figure")
    assert "100.00% of the pixels differ" in figure.words()
    assert [side.words() for side in figure.all("p")] == ["first", "working tree"]
    now = _md5("picture.png")
    project.run("git", "checkout", "--quiet", "first")
    project.run(sys.executable, "-m", "dvc", "checkout", "--quiet")
    assert _md5s(figure) == [_md5("picture.png"), now]


@pytest.mark.usefixtures("project")
def test_a_curve_that_changed_is_drawn_with_the_one_that_it_was() -> None:
    (chart,) = _section(_page("--against", "first"), "curves").all("figure")
    assert [line.words() for line in chart.all("li")] == [
        "loss 0.25 working tree",
        "test_loss 0.5 working tree",
        "loss 0.333333 first",
        "test_loss 0.666667 first",
    ]


@pytest.mark.usefixtures("project")
def test_a_revision_that_differs_in_nothing_says_so() -> None:
    page = _page("--against", "second")
    assert "Nothing: params, code, data, metrics and figures are those of second." in page.words()
    assert len(_md5s(page)) == 1


@pytest.mark.usefixtures("project")
def test_a_picture_that_dvc_s_cache_has_lost_is_missed_at_its_place() -> None:
    shutil.rmtree(".dvc/cache")
    (figure,) = _section(_page("--against", "first"), "figures").all("figure")
    missing, there = figure.all("div")[1:]
    assert "Not at hand" in missing.words()
    assert "dvc.lock of first names" in missing.words()
    assert _md5s(there) == [_md5("picture.png")]


def test_a_picture_that_moved_is_the_same_and_one_that_is_gone_is_missed(project: Project) -> None:
    dvc_yaml = Path("dvc.yaml").read_text()
    for name in ("moved", "other"):
        Path("dvc.yaml").write_text(
            dvc_yaml.replace("[picture.png]", f"[{name}.png]").replace(
                " picture.png", f" {name}.png"
            )
        )
        if name == "other":
            Image.new("L", (4, 6)).save("in/picture.png")
        project.run(sys.executable, "-m", "dvc", "repro", "--quiet")
        figures = _section(_page("--against", "second"), "figures").all("figure")
        told = [figure.words() for figure in figures]
        if name == "moved":
            assert told == ["Moved moved.png same in both, before at picture.png"]
        else:
            assert "There is none of this name in second." in told[0]
            assert "There is none of this name in working tree." in told[1]


@pytest.mark.usefixtures("project")
def test_a_picture_is_the_one_of_dvc_lock_and_not_what_lies_there() -> None:
    md5 = _md5("picture.png")
    Path("picture.png").unlink()  # it may be a link to DVC's cache
    Path("picture.png").write_bytes(Path("in/picture.png").read_bytes() + b"edited")
    assert _md5s(_page()) == [md5]


def test_a_dvc_experiment_is_a_revision(project: Project) -> None:
    change = ("-S", "draw.grey=9", "--name", "darker", "--quiet")
    project.run(sys.executable, "-m", "dvc", "exp", "run", *change)
    project.run("git", "checkout", "--quiet", ".")
    rows = _rows(_section(_page("--against", "darker"), "changes"))
    assert ["draw.grey", "9", "200"] in rows


def test_the_same_results_give_the_same_bytes_wherever_they_lie(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _text("--against", "first")
    assert str(project.path) not in first
    assert _text("--against", "first") == first
    elsewhere = project.path.with_name("elsewhere")
    shutil.copytree(project.path, elsewhere, symlinks=True)
    shutil.rmtree(project.path)
    monkeypatch.chdir(elsewhere)
    dvc_cache.folder.cache_clear()
    assert _text("--against", "first") == first


@pytest.mark.usefixtures("project")
def test_the_page_asks_for_nothing_and_can_be_read_without_eyes() -> None:
    page = _page("--against", "first")
    addresses = [each.attributes.get("src") or each.attributes.get("href") or ""
                 for each in page.all("a", "img", "link", "script", "iframe")]  # fmt: skip
    assert addresses
    assert all(address.startswith(("#", "data:image/png;")) for address in addresses)
    ids = [each.attributes["id"] for each in page.all("section", "h2", "figure") if
           "id" in each.attributes]  # fmt: skip
    assert len(ids) == len({*ids})
    targets = {address[1:] for address in addresses if address.startswith("#")}
    assert targets <= {*ids}
    assert all(image.attributes["alt"] for image in page.all("img"))
    assert all(header.attributes["scope"] for header in page.all("th"))
    assert all(table.all("th") for table in page.all("table"))
    assert [len(page.all(tag)) for tag in ("h1", "main", "nav", "title")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none", "found no revision 'none', expected a commit, branch, tag or experiment"),
        ("--all", "found no revision '--all', expected a commit, branch, tag or experiment"),
    ],
)
@pytest.mark.usefixtures("project")
def test_an_unknown_revision_is_one_line_and_no_page(
    capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        __main__.main(["report", f"--against={name}"])
    assert capsys.readouterr() == ("", f"error: --against: {told}\n")
    assert not Path("report.html").exists()


def test_a_revision_without_results_is_one_line(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.run("git", "rm", "--quiet", "--cached", "dvc.lock")
    project.run("git", "commit", "--quiet", "--message", "no results")
    with pytest.raises(SystemExit, match=r"^1$"):
        __main__.main(["report", "--against", "HEAD"])
    told = "error: --against HEAD: dvc.lock: not found; `make repro` writes it\n"
    assert capsys.readouterr().err == told


@pytest.mark.usefixtures("project")
def test_a_missing_section_of_params_is_one_line_and_no_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("params.yaml").write_text("drwa: {grey: 200, epochs: 4}\n")
    with pytest.raises(SystemExit, match=r"^1$"):
        __main__.main(["report"])
    told = "error: params.yaml: found no 'draw', expected one; dvc.yaml names it\n"
    assert capsys.readouterr() == ("", told)
    assert not Path("report.html").exists()
