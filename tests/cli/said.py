"""The command line in this process, as a user meets it."""

import sys
from pathlib import Path
from typing import NamedTuple

import yaml
from conftest import tiny
from typer.testing import CliRunner

from impray.cli import app

ALL = ("rounds", "units", "fates", "masks", "trials")


HERE = ("--where", "here", "--mlflow", "off", "--no-figures")


PROGRAM = (sys.executable, "-m", "impray.cli")


class Said(NamedTuple):
    code: int
    out: str
    err: str


def impray(*words) -> Said:
    """A command in this process. What it raises, but for its own exit, is a traceback to the user."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def refused(*words) -> str:
    """What a wrong input is told: on stderr only, exit code 2."""
    said = impray(*words)
    assert said.code == 2 and said.err and "Traceback" not in said.err
    return said.err


def write(document: dict, name: str = "x.yaml") -> str:
    Path(name).write_text(yaml.safe_dump(document, sort_keys=False))
    return name


def there() -> set[str]:
    return {str(path) for path in Path(".").rglob("*")}


def line_of(name: str, start: str) -> int:
    """The line of a file that starts like this, from 1."""
    return next(
        n for n, line in enumerate(Path(name).read_text().splitlines(), 1) if line.lstrip("- ").startswith(start)
    )


SMALL = tiny(rounds=1, seeds=1, measures=["accuracy", "fan_in", {"masks": {"most_connected": 1}}])
