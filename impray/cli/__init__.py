"""Words -> calls: the command line. Importing it loads neither torch nor ray nor mlflow."""

# ruff: noqa: I001 - `impray --help` lists commands in the order of these imports.
from impray.cli.app import app, main
from impray.cli import sweep
from impray.cli import looking
from impray.cli import report
from impray.cli import compare
from impray.cli import export
from impray.cli import families
from impray.cli import doctor
from impray.cli import mlflow

__all__ = ["app", "compare", "doctor", "export", "families", "looking", "main", "mlflow", "report", "sweep"]
