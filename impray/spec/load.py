"""A sweep file and `--set path=value` -> `Sweep`, or one `SweepError` with every problem and its line."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from impray.spec import axes, left_out, overrides
from impray.spec.base import whole_number
from impray.spec.errors import Problem, SweepError
from impray.spec.left_out import ReadSizes
from impray.spec.nets import left_out as nets_left_out
from impray.spec.nets.left_out import AskSizes
from impray.spec.overrides import Override
from impray.spec.plugins.joined import blamed, join_named, version_factories
from impray.spec.sweep import Sweep
from impray.spec.text import MOST_INTEGER, cut
from impray.spec.wording import dotted, problems, show
from impray.spec.yaml_text import TOO_DEEP, TOO_MANY, Loader, text_of

Key = tuple[str | int, ...]
Check = Callable[[Sweep | None], list[Problem]]  # what only a caller can see; None is a sweep that is wrong in itself

_MOST_DIGITS = 400  # of a whole number: no float has more, and Python itself reads some 4,000
_UNLIKE_WORDS = {"yes", "no", "on", "off"}


def load(
    path: str | Path,
    sets: Sequence[str] = (),
    check: Check = lambda sweep: [],
    sizes: ReadSizes | None = None,
    layers: AskSizes | None = None,
    base: bool = False,
) -> Sweep:
    """The sweep in a YAML file, with `--set` overrides applied. The plugins that it names are run: their members join the families.

    Args:    path: a YAML file.
             sets: `data.gain=3` (below `trial`) or `rounds=3` (a key of the sweep), values in YAML; a list or
             mapping replaces what is there.
             check: gives more problems, told with the others.
             sizes: reads what `trial.data` leaves out because its files say it; None: it is at its default, or missing.
             layers: asks the factory of a `kind: module` for the layers that `net` leaves out; None: they are missing.
             base: whether only the base trial is asked for; else an override that an axis overrides in every trial is refused.
    Raises:  SweepError: with all problems of the file, the overrides and the axes.
    """
    return read(text_of(Path(path), str(path)), str(path), sets, check, sizes, Path(path).parent, layers, base)


def read(
    text: str,
    source: str,
    sets: Sequence[str] = (),
    check: Check = lambda sweep: [],
    sizes: ReadSizes | None = None,
    plugins: Path | None = None,
    layers: AskSizes | None = None,
    base: bool = False,
) -> Sweep:
    """As `load`, of a YAML text; `source` names it in errors.

    Args:    plugins: the folder that paths of plugins start from; None: no plugin is run, and their members must have joined.
    """
    reader = _Reader(source)
    document = reader.document(text)
    applied = [override for item in sets if (override := reader.override(document, item))]
    if not base:
        reader.problems += overrides.unheard(document, applied)
    unjoined, failed = ([], set()) if plugins is None else join_named(document, plugins)
    unjoined += [] if plugins is None else version_factories(document)
    other = copy.deepcopy(document)
    unread = _filled(document, sizes, layers)
    sweep, wrong = _checked(document)
    if unread:
        _filled(other, sizes, layers, large=True)
        always = _checked(other)[1]
        wrong = [*unread, *(problem for problem in wrong if problem in always)]
    wrong = [*unjoined, *(problem for problem in wrong if not _of_failed(problem, failed))]
    told = {problem.path for problem in wrong}
    wrong = [*wrong, *(problem for problem in check(sweep) if problem.path not in told)]
    if sweep is None or wrong or reader.problems:
        raise SweepError(source, _in_order([*reader.problems, *_placed(wrong, reader.places, reader.written)]))
    return sweep


def _of_failed(problem: Problem, failed: set[str]) -> bool:
    """Whether a member is unknown only because its plugin could not join, which is told already."""
    named = {(problem.value or "").strip("'").partition(".")[0], *problem.path.replace("[", ".").split(".")}
    return bool(named & failed)


def _filled(
    document: dict[str, Any], sizes: ReadSizes | None, layers: AskSizes | None, *, large: bool = False
) -> list[Problem]:
    """Fill in what files and factories say, the data's first; what is wrong with them."""
    unread = left_out.fill(document, sizes, large=large) if sizes is not None else []
    unasked = nets_left_out.fill(document, layers, large=large) if layers is not None else []
    return [*unread, *unasked]


def validate(document: dict, source: str, lines: Mapping[tuple, int | str]) -> Sweep:
    """The sweep that `document` (a read YAML file) describes.

    Args:    lines: of each path in the document, its line, or other words for where it was written.
    Raises:  SweepError: with all problems, those of the axes included.
    """
    sweep, wrong = _checked(document)
    if sweep is None or wrong:
        raise SweepError(source, _in_order(_placed(wrong, {dotted(path): line for path, line in lines.items()}, {})))
    return sweep


def _checked(document: dict) -> tuple[Sweep | None, list[Problem]]:
    try:
        sweep = Sweep.model_validate(document)
        return sweep, axes.check(sweep)
    except ValidationError as error:
        return None, [*problems(error, Sweep, document), *_axes_alone(document)]
    except Exception as error:  # a plugin's class may do anything; any other one is our bug
        where = blamed(error)
        if where is None:
            raise
        return None, [Problem("plugins", None, f"{where}: {type(error).__name__}: {error}")]


def _axes_alone(document: dict) -> list[Problem]:
    """Problems of the axes and rounds, told in the same go where trial and search are sound and other keys are wrong."""
    rounds = whole_number(document.get("rounds"))
    try:
        sweep = Sweep.model_validate(
            {
                "question": "?",
                "seeds": 1,
                "rounds": rounds if type(rounds) is int and rounds >= 0 else 0,
                "trial": document.get("trial"),
                "search": document.get("search", {}),
            }
        )
    except ValidationError:
        return []
    return [problem for problem in axes.check(sweep) if problem.path.startswith(("search.space", "rounds"))]


def _placed(wrong: list[Problem], places: Mapping[str, int | str], written: Mapping[str, str]) -> list[Problem]:
    """The problems with their lines; a missing key has its parent's."""
    return [_at(problem, _nearest(problem.path, places), written.get(problem.path)) for problem in wrong]


def _in_order(wrong: list[Problem]) -> list[Problem]:
    """As they stand in the file, those of `--set` last; told once (a repeated key may be wrong twice)."""
    return sorted(dict.fromkeys(wrong), key=lambda problem: math.inf if problem.line is None else problem.line)


def _at(problem: Problem, place: int | str | None, written: str | None) -> Problem:
    value, right = problem.value, problem.right
    if written is not None and written.lower() in _UNLIKE_WORDS and value in ("true", "false"):
        right = f"{right} (YAML reads {written} as {value}; in quotes it is text)"
        value = written
    line, words = (place, None) if isinstance(place, int) else (None, place)
    return Problem(problem.path, value, right, line, words)


def _nearest(path: str, places: Mapping[str, int | str]) -> int | str | None:
    if path.startswith("--"):
        return None  # an option of the command line stands nowhere in the file
    while path and path not in places:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return places.get(path)


class _Reader:
    """YAML text -> plain values, with the place and the writing of each."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.places: dict[str, int | str] = {}
        self.written: dict[str, str] = {}
        self._loader = Loader("")
        self._open: list[yaml.Node] = []
        self._count = 0

    def document(self, text: str) -> dict[str, Any]:
        node = self._composed(text)
        if node is None:
            raise SweepError(
                self.source,
                [Problem("file", None, "is empty; a sweep needs question, trial, seeds and rounds", 1)],
            )
        if not isinstance(node, yaml.MappingNode):
            right = "must be a mapping with the keys question, trial, seeds, rounds ..."
            raise SweepError(self.source, [Problem("file", None, right, node.start_mark.line + 1)])
        return self._value(node, ())

    def override(self, document: dict[str, Any], item: str) -> Override | None:
        """Applies one `path=value` to the document; None, with a note of what is wrong with it, where that cannot be."""
        name, equals, text = item.partition("=")
        place = overrides.place_of(item)
        path, wrong = overrides.path_of(name.strip(), bool(equals))
        if wrong:
            self.problems.append(Problem(name.strip() or "--set", None, wrong, place=place))
            return None
        try:
            node = yaml.compose(text, Loader=Loader)
        except (yaml.YAMLError, RecursionError) as error:
            right = f"the value is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}"
            self.problems.append(Problem(dotted(path), repr(text), right, place=place))
            return None
        here = document
        for depth, key in enumerate(path[:-1], start=1):
            if here.get(key) is None:
                here[key] = {}
            here = here[key]
            if not isinstance(here, dict):
                right = "has no keys of its own to set; a list is replaced whole"
                self.problems.append(Problem(dotted(path[:depth]), show(here), right, place=place))
                return None
        self._forget(dotted(path))
        value = here[path[-1]] = None if node is None else self._value(node, path, place)
        self.places[dotted(path)] = place
        return Override(path, value, place)

    def _composed(self, text: str) -> yaml.Node | None:
        loader = Loader("")
        try:
            loader = Loader(text)  # looks at the characters of short texts
            return loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            hint = " (indent with spaces, not tabs)" if "\\t" in str(error.problem) else ""
            context = f"{error.context}: " if error.context else ""
            reason, line = f"{context}{error.problem}{hint}", mark.line + 1 if mark else 1
        except yaml.reader.ReaderError as error:
            reason, line = error.reason, text.count("\n", 0, error.position) + 1
        except RecursionError:
            reason, line = "nested too deeply", loader.line + 1
        raise SweepError(self.source, [Problem("file", None, f"is not valid YAML: {reason}", line)]) from None

    def _forget(self, path: str) -> None:
        for known in [known for known in self.places if known.startswith((f"{path}.", f"{path}["))]:
            del self.places[known]
        for known in [known for known in self.written if known.startswith((f"{path}.", f"{path}[")) or known == path]:
            del self.written[known]

    def _note(self, node: yaml.Node, path: Key, value: str | None, right: str, place: str | None) -> None:
        self.problems.append(_noted(node, path, value, right, place))

    def _endless(self, node: yaml.Node, path: Key, right: str, place: str | None) -> SweepError:
        """Of what is not read on."""
        return SweepError(self.source, [_noted(node, path, None, right, place)])

    def _value(self, node: yaml.Node, path: Key, place: str | None = None) -> Any:
        self.places.setdefault(dotted(path), place or node.start_mark.line + 1)
        self._count += 1
        if any(node is outer for outer in self._open):
            self._note(node, path, None, "this alias holds itself", place)
            return None
        if len(self._open) > TOO_DEEP:
            raise self._endless(node, path, f"nested too deeply (more than {TOO_DEEP} levels)", place)
        if self._count > TOO_MANY:
            raise self._endless(node, (), f"holds more than {TOO_MANY} values (aliases of aliases?)", place)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, place)
        self._open.append(node)
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, path, place)
        else:
            value = [self._value(item, (*path, position), place) for position, item in enumerate(node.value)]
        self._open.pop()
        return value

    def _mapping(self, node: yaml.MappingNode, path: Key, place: str | None) -> dict[str, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._note(key, path, None, "a key must be a word, not a list or mapping", place)
            elif key.value in first:
                where = "" if place else f" (first on line {first[key.value]})"
                self._note(key, (*path, key.value), None, f"is written twice{where}; keep one", place)
            else:
                first[key.value] = line
        try:
            self._loader.flatten_mapping(node)
        except yaml.YAMLError as error:
            self._note(node, path, None, f"cannot be merged: {getattr(error, 'problem', error)}", place)
            return {}
        value = {}
        for key, item in node.value:
            if isinstance(key, yaml.ScalarNode):
                self.places[dotted((*path, key.value))] = place or key.start_mark.line + 1
                value[key.value] = self._value(item, (*path, key.value), place)
        return value

    def _scalar(self, node: yaml.ScalarNode, path: Key, place: str | None) -> Any:
        kind = node.tag.rsplit(":", 1)[-1]
        try:
            if kind == "int":
                digits = node.value.replace("_", "")
                if len(digits) <= _MOST_DIGITS:
                    return int(digits)
                right = f"has {len(digits)} digits; must be at most {MOST_INTEGER} (2^63 - 1)"
                self._note(node, path, cut(node.value), right, place)
                return None
            if kind in ("float", "bool", "null", "str"):
                self.written[dotted(path)] = node.value
                return self._loader.construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):
            pass  # an explicit tag that its value belies: told below
        self._note(
            node,
            path,
            repr(node.value),
            f"cannot be read as {cut(node.tag)}; write the value without a tag",
            place,
        )
        return None


def _noted(node: yaml.Node, path: Key, value: str | None, right: str, place: str | None) -> Problem:
    return Problem(dotted(path) or "file", value, right, None if place else node.start_mark.line + 1, place)
