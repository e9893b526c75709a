"""The commands behind the Makefile: `python -m pipeline <command>`.

A command's module is imported when it is called, since MLflow alone takes 2 s.
"""

import argparse

from pipeline import errors


def main(arguments: list[str] | None = None) -> None:
    """Run the command that `arguments`, by default the command line's, name."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    repro = commands.add_parser("repro", help="run what is out of date, and show the results")
    repro.add_argument(
        "--from-scratch",
        action="store_true",
        help="begin interrupted trainings anew instead of going on with them",
    )
    commands.add_parser("track", help="make the MLflow runs that are missing for dvc.lock")
    verify = commands.add_parser("verify", help="rebuild HEAD and hold every out against dvc.lock")
    verify.add_argument("--stage", help="judge this stage alone")
    verify.add_argument("--twice", action="store_true", help="compare two rebuilds instead")
    verify.add_argument(
        "--tolerance",
        type=float,
        nargs="?",
        const=1e-3,
        help="for other hardware: pass if history and metrics agree within it (%(const)s)",
    )
    ui = commands.add_parser("ui", help="open the MLflow UI on this machine")
    ui.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    ui.add_argument("--port", type=int, default=5000, help="port to listen on (%(default)s)")
    options = parser.parse_args(arguments)

    with errors.reported():
        match options.command:
            case "repro":
                from pipeline import repro as reproduction

                reproduction.main(from_scratch=options.from_scratch)
            case "track":
                from pipeline.tracking import track

                track.main()
            case "verify":
                from pipeline import verify as verification

                verification.main(
                    stage=options.stage, twice=options.twice, tolerance=options.tolerance
                )
            case "ui":
                from pipeline.tracking import ui as mlflow_ui

                mlflow_ui.main(options.host, options.port)
