"""The commands behind the Makefile: `python -m pipeline COMMAND`, a module of `commands` each.

Only the module of the command that is called is imported, since MLflow alone takes a second.
"""

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from pipeline import errors

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2
COMMANDS = {
    "repro": "run what is out of date, and show the results",
    "doctor": "check what the pipeline needs of this machine, one line each",
    "inspect": "say what a file or folder of images holds, and what to write in params.yaml",
    "params": "list every setting with its type, range and value",
    "track": "make the MLflow runs that are missing for dvc.lock",
    "verify": "rebuild HEAD and compare every out with dvc.lock",
    "ui": "open the MLflow UI on this machine",
    "compare": "show the tracked runs side by side",
    "promote": "make better models of dvc.lock champions",
    "serve": "serve a champion over HTTP on this machine",
    "predict": "write a champion's answers to images as a table or as arrays",
    "export": "write a model for TensorFlow, ONNX Runtime or LiteRT",
    "report": "write the results, and what changed in them, as one page",
    "sweep": "train over a search space, on one machine or many",
    "crossval": "measure a training on each part of its images",
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command that `arguments`, by default the command line's, name."""
    _open_streams()
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Run a command.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    if isinstance(sys.stdout, io.TextIOWrapper):  # it may have no letter for a path or a class
        sys.stdout.reconfigure(errors="backslashreplace")
    with errors.reported(), _read():
        for name, text in COMMANDS.items():
            command = commands.add_parser(name, help=text)
            if given[:1] == [name]:
                module = _imported(name)
                module.add_arguments(command)
        options = vars(parser.parse_args(given))
        del options["command"]
        module.main(**options)


def _imported(name: str) -> ModuleType:
    """The module of a command: those that need MLflow take 1.4 core-seconds so, 2.3 otherwise."""
    from pipeline.outs import runtime  # reads no more than nearly every command reads

    with runtime.lean_import(used=("matplotlib", "pandas")):
        return importlib.import_module(f"pipeline.commands.{name}")


def _open_streams() -> None:
    """Let standard streams that the caller has closed lead nowhere.

    Files that are opened later would get their numbers, and in them what libraries have to say.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or os.fdopen(STANDARD_OUTPUT, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(STANDARD_ERROR, "w", closefd=False)


@contextmanager
def _read() -> Iterator[None]:
    """End without a word, as other programs do, when nobody reads what is printed any more."""
    try:
        yield
        print(end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    main()
