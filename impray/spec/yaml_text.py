"""YAML as sweeps are written in it: the text of a file, and a loader for the safe subset that PyYAML reads.

Two traps of YAML 1.1 are closed: `1e-3` is a number, and `010` and `1:30` are not octal or base 60. `yes`, `no`, `on`, `off` stay
booleans, and where something else is wanted the message says so. Both are bounded, whatever the file holds.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

import yaml

from impray.spec.errors import Problem, SweepError
from impray.spec.wording import near

MOST_BYTES = 1_000_000  # of a sweep file: what is longer is none
TOO_MANY = 100_000  # values in a file: aliases of aliases would otherwise fill the memory
TOO_DEEP = 60  # lists and mappings in each other; nothing that can be asked is half as deep


class Loader(yaml.SafeLoader):
    """Scalars as YAML 1.2 reads them, and the booleans of 1.1; what is nested without end, or merged without end, is refused."""

    _depth = 0

    yaml_implicit_resolvers = {
        first: [(tag, rule) for tag, rule in rules if tag.rsplit(":", 1)[-1] in ("bool", "null", "merge")]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self._depth > TOO_DEEP:
            raise yaml.MarkedYAMLError(
                problem=f"nested too deeply (more than {TOO_DEEP} levels)", problem_mark=self.peek_event().start_mark
            )
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """As PyYAML's, which repeats every pair of a mapping that is merged as often as it is named, again and again."""
        merged = [item for key, item in node.value if key.tag == "tag:yaml.org,2002:merge"]
        parts = [part for item in merged for part in (item.value if isinstance(item, yaml.SequenceNode) else [item])]
        for part in parts:
            if isinstance(part, yaml.MappingNode) and part is not node:
                self.flatten_mapping(part)
        if sum(len(part.value) for part in parts if isinstance(part, yaml.MappingNode)) > TOO_MANY:
            raise yaml.MarkedYAMLError(problem=f"more than {TOO_MANY} values", problem_mark=node.start_mark)
        super().flatten_mapping(node)


Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9][0-9_]*$"), list("-+0123456789"))
_FLOAT = r"""^(?: [-+]? (?: \.[0-9]+ | [0-9][0-9_]*\.[0-9]* ) (?: [eE][-+]?[0-9]+ )?
              | [-+]? [0-9]+ [eE][-+]?[0-9]+
              | [-+]? \.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN) )$"""
Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_FLOAT, re.VERBOSE), list("-+.0123456789"))


def text_of(path: Path, source: str) -> str:
    """The text of a sweep file; `source` names it in errors.

    Raises:  SweepError: there is none, or it is no text of `MOST_BYTES` or fewer. Pipes and devices, which may have no end, are not read.
    """
    line = None
    try:
        kind = path.stat().st_mode
        if stat.S_ISREG(kind):
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
            if len(content) <= MOST_BYTES:
                return content.decode("utf-8-sig")
            reason = f"is longer than {MOST_BYTES:,} bytes; a sweep is one short YAML file"
            line = content.count(b"\n", 0, MOST_BYTES) + 1
        elif stat.S_ISDIR(kind):
            reason = "this is a folder; a sweep is one YAML file"
        else:
            reason = "this is a pipe or a device; a sweep is one YAML file"
    except FileNotFoundError:
        beside = [str(other) for other in path.parent.glob("*.y*ml")] if os.path.isdir(path.parent) else []
        reason = f"there is no such file{near(source, beside)}"
    except UnicodeDecodeError as error:
        reason, line = "cannot be read: it is not text in UTF-8", error.object.count(b"\n", 0, error.start) + 1
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = f"cannot be read: {getattr(error, 'strerror', error)}"
    raise SweepError(source, [Problem("file", None, reason, line)])
