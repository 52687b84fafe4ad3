"""`impray families`, `impray measures`: every kind of data, net, training, rule, measure and figure, built in or of a plugin."""

from __future__ import annotations

import ast
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impray.cli import completing
from impray.cli.app import answered, app
from impray.service.said import found, load_sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="FILE", help="A plugin's file: it is run, and its members listed."),
]


@app.command("families")
def families(
    family: Annotated[
        str | None,
        typer.Argument(
            help="data, nets, training, rules, measures or figures; default: all.", autocompletion=completing.families
        ),
    ] = None,
    sweep: Annotated[str | None, typer.Option(help="A sweep whose plugins are run, and their members listed.")] = None,
    plugin: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """All members of the families: parameters, what they require, the columns they fill, and where they come from."""
    with answered():
        from impray.spec.errors import Problem, SweepError
        from impray.spec.families import ALL
        from impray.spec.plugins.listing import join_all_installed, listed
        from impray.spec.wording import near

        if family is not None and family not in ALL:
            right = f"not one of {', '.join(ALL)}{near(family, ALL)}"
            raise SweepError("impray families", [Problem("FAMILY", repr(family), right)])
        broken = join_all_installed()
        if sweep is not None:
            load_sweep(sweep, [])
        join_files(plugin or ())
        members = [member for name in ALL if family in (None, name) for member in listed(ALL[name])]
        if family in (None, "figures"):
            members += list(_scripts(sweep))
    _tell(members, broken, as_json, family is not None, "impray schema" if family else "impray families measures")


@app.command()
def measures(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One measure: its parameters and columns; default: a line for each.",
            autocompletion=completing.measures,
        ),
    ] = None,
    plugin: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What a sweep can measure; with a name, all that is known of one measure."""
    with answered():
        from impray.spec import families
        from impray.spec.errors import Problem, SweepError
        from impray.spec.plugins.listing import join_all_installed, listed
        from impray.spec.wording import near

        broken = join_all_installed()
        join_files(plugin or ())
        known = families.measures.tags
        if name is not None and name not in known:
            right = f"not one of {', '.join(known)}{near(name, known)}"
            raise SweepError("impray measures", [Problem("NAME", repr(name), right)])
        members = [member for member in listed(families.measures) if name in (None, member["name"])]
    _tell(members, broken, as_json, name is not None, "impray schema" if name else f"impray measures {known[0]}")


def _tell(members: Sequence[dict[str, Any]], broken: Sequence[str], as_json: bool, whole: bool, following: str) -> None:
    """Members as JSON or as lines, plugins that cannot be used, and the command that comes next."""
    if as_json:
        typer.echo(json.dumps({"members": members, "broken": broken}, indent=2))
        return
    for line in _lines(members, whole=whole):
        typer.echo(line)
    for why in broken:
        typer.echo(f"cannot be used: {why}")
    typer.echo(f"\nnext: {following}")


def join_files(files: Sequence[str]) -> None:
    """Run plugins' files and let their members join.

    Raises:  SweepError: with all that is wrong.
    """
    from impray.spec.errors import Problem, SweepError
    from impray.spec.plugins.joined import join
    from impray.spec.plugins.loading import PluginError, from_file

    wrong = []
    for file in files:
        try:
            join(from_file(Path(file).absolute()))
        except PluginError as error:
            wrong += [Problem("--plugin", repr(file), f"cannot be used: {why}") for why in error.reasons]
    if wrong:
        raise SweepError("impray", wrong)


def _scripts(sweep: str | None) -> Iterator[dict[str, Any]]:
    """Figures that are scripts: the shipped ones, and those beside a sweep."""
    from impray.service.drawing import own_scripts, scripts

    own = own_scripts(found(sweep)) if sweep is not None else {}
    for name, path in {**scripts(), **own}.items():
        about = ast.get_docstring(ast.parse(path.read_text())) or ""
        yield {"family": "figures", "name": name, "source": str(path) if name in own else "analysis/", "about": about}


def _lines(members: Sequence[dict[str, Any]], *, whole: bool) -> Iterator[str]:
    """A line per member; all that is known of each, where one family is asked for."""
    shown = None
    for member in members:
        if member["family"] != shown:
            shown = member["family"]
            yield f"{shown}:"
        version = f" version {member['version']}" if "version" in member else ""
        about = " ".join(member["about"].split("\n\n")[0].split())
        yield f"  {member['name']}  ({member['source']}{version})"
        yield from textwrap.wrap(
            about, 120, initial_indent="    ", subsequent_indent="    ", max_lines=None if whole else 1
        )
        if whole:
            yield from _details(member)


def _details(member: dict[str, Any]) -> Iterator[str]:
    for parameter in member.get("parameters", ()):
        default = "required" if parameter.get("required") else f"default {json.dumps(parameter['default'])}"
        about = f": {parameter['about']}" if parameter["about"] else ""
        yield f"    - {parameter['name']}: {parameter['type']}, {default}{about}"
    if limits := member.get("limits"):
        yield from textwrap.wrap(f"limits: {limits}", 120, initial_indent="    ", subsequent_indent="      ")
    for need in member.get("requires", ()):
        yield f"    requires: {need}"
    for column in member.get("columns", ()):
        unit = f" [{column['unit']}]" if column["unit"] else ""
        yield f"    {column['table']}.{column['name']} ({column['type']}){unit}: {column['sentence']}"
