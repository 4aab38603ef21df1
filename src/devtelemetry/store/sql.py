"""Named queries: each room keeps its SQL in a `.sql` file, one `-- name:` line before each query.

The comment lines under the name say what goes in, what comes out and why. They are sent to the
server, so pg_stat_activity shows them.

A parameter is written `$window_start`, any number of times; PostgreSQL gets `$1`, `$2` … SQL that
two statements share, or that makes one too long to read, is in a file of its own. A line
`-- include: FILE NAME=VALUE …` inserts that file, with each value in place of `{NAME}`. The caller
of `load` or `queries` can give texts for other `{NAME}`s, such as a list of columns or the FILE.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^ *-- include: (\S+)((?: \w+=\w+)*)\n", re.MULTILINE)
_PARAMETER = re.compile(r"--[^\n]*|\$([a-z]\w*)")  # or a comment, in which $ is no parameter


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as PostgreSQL takes it.

    name        for error messages
    parameters  the names of `$1`, `$2` and so on
    """

    name: str
    text: str
    parameters: tuple[str, ...]

    def arguments(self, values: Sequence[object], named: Mapping[str, object]) -> Sequence[object]:
        """The values in the order of the parameters. Raises TypeError if names do not match."""
        if not self.parameters:
            return values  # for `$1`, `$2` … in the text, if it has any
        if values or len(named) != len(self.parameters) or not named.keys() >= {*self.parameters}:
            raise TypeError(
                f"{self.name} takes {', '.join(self.parameters)}; "
                f"given: {', '.join(named) or 'nothing by name'}"
            )
        return [named[parameter] for parameter in self.parameters]


@cache
def load(package: str, file: str, **texts: str) -> Query:
    """The one statement of `file` in `package` (a dotted module name), with its includes."""
    return _query(file, _text(package, file, texts))


@cache
def queries(package: str, file: str = "queries.sql", **texts: str) -> Mapping[str, Query]:
    """The queries of `file`, by name."""
    parts = _NAME.split(_text(package, file, texts))
    return {
        name: _query(name, text.strip())
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def arrays(rows: Iterable[Sequence[object]], *names: str) -> dict[str, Any]:
    """The columns of `rows`, as arguments for unnest(). names: the parameter of each column."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    return dict(zip(names, columns, strict=True))


def is_text(value: str) -> bool:
    """Whether PostgreSQL can store it as text: it has no NUL and no lone surrogate."""
    return "\0" not in value and not any(0xD800 <= ord(letter) < 0xE000 for letter in value)


def _query(name: str, text: str) -> Query:
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${numbers.setdefault(found[1], len(numbers) + 1)}" if found[1] else found[0]

    return Query(name, _PARAMETER.sub(number, text), tuple(numbers))


def _text(package: str, file: str, texts: Mapping[str, str]) -> str:
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    return _INCLUDE.sub(
        lambda line: _included(package, line[1], line[2].split(), texts), _filled(text, texts)
    )


def _included(package: str, file: str, values: Sequence[str], texts: Mapping[str, str]) -> str:
    return _filled(_text(package, file, texts), dict(given.split("=") for given in values))


def _filled(text: str, texts: Mapping[str, str]) -> str:
    for name, value in texts.items():
        text = text.replace(f"{{{name}}}", value)
    return text
