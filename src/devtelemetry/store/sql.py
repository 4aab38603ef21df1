"""Named queries: each room keeps its SQL in a `.sql` file, one `-- name:` line before each query.

The comment lines under the name say what goes in, what comes out and why; they travel to the
server, where pg_stat_activity shows them. What two statements share, or what makes one too long to
read, is a file of its own that a line `-- include: FILE NAME=VALUE …` brings in, with each value in
the place of `{NAME}`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^ *-- include: (\S+)((?: \w+=\w+)*)\n", re.MULTILINE)


@cache
def load(package: str, file: str) -> str:
    """The whole text of `file` in `package` (a dotted module name), with what it includes."""
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda line: _included(package, line[1], line[2].split()), text)


def _included(package: str, file: str, values: Sequence[str]) -> str:
    text = load(package, file)
    for name, value in (given.split("=") for given in values):
        text = text.replace(f"{{{name}}}", value)
    return text


@cache
def queries(package: str, file: str = "queries.sql") -> Mapping[str, str]:
    """The queries of `file`, by name."""
    parts = _NAME.split(load(package, file))
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))
