"""Run one stage: `python -m stages train_classifier`. DVC does so; see dvc.yaml.

The params are checked and the runtime pinned before the stage, and with it NumPy and TensorFlow,
is imported: a mistake is told at once, and no library starts with other settings.
"""

import importlib
import os
import sys
from pathlib import Path

from pipeline.forkserver import client as forkserver

TEMPORARY = "/.dvc/tmp/exps/"  # DVC's copies of the repository lie below it, without .venv


def main(arguments: list[str]) -> None:
    """Check params.yaml, pin the runtime, run the stage that `arguments` name."""
    import argparse

    from pipeline import errors, layout, runtime
    from pipeline.params import load_params

    parser = argparse.ArgumentParser(prog="python -m stages", description="Run one stage.")
    parser.add_argument("stage", choices=layout.STAGES)
    stage = parser.parse_args(arguments).stage
    with errors.reported():
        params = load_params(layout.PARAMS)
        runtime.pin(params.runtime)
        with runtime.lean_import(used=("matplotlib",) if stage == "visualize" else ()):
            module = importlib.import_module(f"stages.{stage}")
        module.main(params)

        from pipeline import environment

        environment.record(params.runtime)


def _own_python() -> Path | None:
    """The project's own Python, where it has one and this is another.

    DVC may be an editor's or pipx's, and takes whichever `python3` is first on PATH.
    """
    environment = Path(os.fspath(Path.cwd()).split(TEMPORARY, maxsplit=1)[0], ".venv")
    if environment.resolve() == Path(sys.prefix).resolve():
        return None
    python = environment / "bin/python"
    return python if python.exists() else None


if __name__ == "__main__":
    if python := _own_python():
        os.execv(python, [os.fspath(python), "-m", "stages", *sys.argv[1:]])
    # `prepare` imports no TensorFlow, and is done before a server has.
    if forkserver.serves("stages") and sys.argv[1:] != ["prepare"]:
        sys.exit(forkserver.start("stages", *sys.argv[1:]).wait())
    main(sys.argv[1:])
