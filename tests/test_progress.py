"""Progress: lines for a log, a bar for a person."""

import os
import pty

import pytest

from pipeline.outs.artifacts import Row
from pipeline.progress import reporter, result

pytestmark = pytest.mark.usefixtures("tensorflow")

END = "\0"
ROWS: list[Row] = [
    {"epoch": epoch, "loss": 1 / epoch, "test_loss": 2 / epoch} for epoch in range(1, 13)
]


def report_all() -> None:
    report = reporter(epochs=len(ROWS))
    for row in ROWS:
        report(row)


def test_a_log_gets_one_plain_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    report_all()
    lines = capsys.readouterr().out.splitlines(keepends=True)
    assert len(lines) == len(ROWS)
    assert lines[1].startswith("epoch  2/12  loss 0.5000  test_loss 1.0000  ")
    assert all(line.endswith(" s\n") for line in lines)
    assert "\r" not in "".join(lines)


def test_a_terminal_gets_a_bar_that_fills_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, keyboard = pty.openpty()
    written = b""
    with os.fdopen(keyboard, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        report_all()
        print(END, end="", flush=True)
        while END not in written.decode(errors="ignore"):  # it comes in pieces
            written += os.read(screen, 1 << 16)
    os.close(screen)

    assert written.count(b"\n") == 1
    bars = [draft.count("━") for draft in written.decode().split("\r\033[2K")[1:]]
    assert bars == [2 * epoch for epoch in range(1, 13)]
    assert b"epoch 12/12  loss 0.0833" in written


def test_the_result_is_a_line_with_every_metric() -> None:
    assert result({"test_accuracy": 0.93333, "parameters": 477_010, "epochs_to_target": None}) == (
        "result  test_accuracy 0.9333  parameters 477,010  epochs_to_target not reached"
    )
