"""Words -> calls: the command line. Importing it loads neither torch nor ray nor mlflow."""

# ruff: noqa: I001, E402 - `impray --help` lists commands in the order of these imports.
import sys
from pathlib import Path

from impray.service import stopping

if Path(sys.argv[0]).name in ("-m", "impray"):  # the command itself: importing the rest of it takes a moment
    stopping.from_the_start()

from impray.cli.app import app, main
from impray.cli import sweep
from impray.cli import looking
from impray.cli import report
from impray.cli import findings
from impray.cli import compare
from impray.cli import export
from impray.cli import families
from impray.cli import doctor
from impray.cli import mlflow

__all__ = ["app", "compare", "doctor", "export", "families", "findings", "looking", "main", "mlflow", "report", "sweep"]
