"""The git repository that DVC works in."""

import shutil
import subprocess
import sys

from pipeline.errors import RepositoryError


def check() -> None:
    """Make sure that there is one that git may read, unless DVC is set to do without.

    Raises:
        RepositoryError: DVC would refuse to work here.
    """
    if not shutil.which("git"):
        raise RepositoryError("git: not found on PATH, expected it there: DVC's files are in git")
    git = ("git", "rev-parse", "--git-dir")
    asked = subprocess.run(git, capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        return
    if "not a git repository" not in asked.stderr:
        raise RepositoryError(" ".join(asked.stderr.split()))
    setting = (sys.executable, "-m", "dvc", "config", "core.no_scm")
    done = subprocess.run(setting, capture_output=True, text=True, check=False)
    if done.stdout.strip().lower() != "true":
        raise RepositoryError(
            "found no git repository here, expected one; `git init` makes one, or "
            "`.venv/bin/dvc config --local core.no_scm true` does without"
        )
