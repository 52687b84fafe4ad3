"""Draws one figure of a plugin, in a process of its own: `python -m impray.figures.of_plugin NAME FILE OUT [--round N] [--only A=V]`.

FILE is the plugin's, or `-` for an installed one.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from impray.figures import command
from impray.figures.page import Paper
from impray.figures.panels import Figure
from impray.spec import families
from impray.spec.errors import ImprayError, MemberError
from impray.spec.family import implementation
from impray.spec.plugins import joined
from impray.spec.plugins.loading import PluginError, from_file


def figure_of(name: str) -> command.Script:
    """A figure of a plugin that has joined; its files are called as it is, with _ for the dot.

    Raises:  MemberError: it is none.
    """
    member = families.figures.member(name)
    made: Any = implementation(member)
    try:
        made = made() if callable(made) else made
    except ImprayError:
        raise
    except Exception as error:
        raise MemberError(name, member.source, f"{type(error).__name__}: {error}") from error
    of_files = name.replace(".", "_")
    if isinstance(made, Figure):
        return replace(made, name=of_files)
    if isinstance(made, Paper):
        named = [replace(figure, name=f"{of_files}_{figure.name.replace('_', '')}") for figure in made.figures]
        return replace(made, name=of_files, figures=named)
    raise MemberError(name, member.source, f"must be an impray.figures.Figure or Paper, not {type(made).__name__}")


def main(name: str, file: str, *options: str) -> None:
    try:
        if file == "-":
            joined.join_installed(name.partition(".")[0])
        else:
            joined.join(from_file(Path(file)))
        if name not in families.figures.members:
            raise PluginError([f"{file}: has no figure {name}"])
        script = figure_of(name)
    except ImprayError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    sys.argv[1:] = options
    command.run(script, f"Draws {name}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
