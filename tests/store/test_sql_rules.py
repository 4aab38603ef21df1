"""The SQL runs on one PostgreSQL and on a cluster that shards by channel: it follows those rules of
docs/scaling.md that can be checked in its text.
"""

import re
from pathlib import Path

import pytest

import devtelemetry
from devtelemetry.store.distribution import REFERENCE, SHARDED

_PACKAGE = Path(devtelemetry.__file__).parent
_OF_CLIENTS = _PACKAGE / "client"  # SQLite's
_SCHEMA = _PACKAGE / "store" / "schema"
_MIGRATIONS = _PACKAGE / "store" / "migrations" / "versions"
_FIRST_ON_A_CLUSTER = "0023"  # earlier migrations ran before `distribute` existed

# These statements of the algorithm read what earlier ones have pulled from the shards.
_LOCAL = {"authors.sql", "corroborated.sql", "measured.sql", "reliability.sql", "rollup.sql"}


def _statements() -> dict[str, str]:
    """Place → statement without comments, for all statements of the package."""
    found = {}
    for path in sorted(_PACKAGE.rglob("*.sql")):
        if _OF_CLIENTS in path.parents or path.parent == _SCHEMA:
            continue
        if path.parent == _MIGRATIONS and path.name < _FIRST_ON_A_CLUSTER:
            continue
        text = path.read_text()
        for number, part in enumerate(re.split(r"^-- name: ", text, flags=re.MULTILINE)):
            name = part.split("\n", 1)[0] if number else ""
            body = part.split("\n", 1)[1] if number else part
            found[f"{path.relative_to(_PACKAGE)} {name}".strip()] = re.sub(r"--[^\n]*", "", body)
    for path in sorted(_PACKAGE.rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\b(select|insert into|update|delete from) .*\b(from|set|where)\b", line):
                found[f"{path.relative_to(_PACKAGE)} line {number}"] = line
    return found


_STATEMENTS = _statements()

_NEVER = {
    "an empty select list": r"\bselect\s+from\b",
    "a simple case on a parameter": r"\bcase\s+\$\w+(::\w+)?\s+when\b",
    "a lock of rows": r"\bfor (no key )?(update|share)\b",
    "a recursive query": r"\bwith recursive\b",
    "grouping sets": r"\b(grouping sets|rollup|cube)\s*\(",
    "a trigger": r"\bcreate (constraint )?trigger\b",
    "a detachment beside others": r"\bdetach\b.*\bconcurrently\b",
    "a row by its place": r"\bctid\b",
    "a time of the node's": r"\b(now|random|gen_random_uuid)\(\)",
    "several subcommands in an alter table": r"\balter table\b[^;(]*,\s*(add|drop|alter|set)\b",
}


@pytest.mark.parametrize("what", _NEVER)
def test_no_statement_has(what: str) -> None:
    rule = re.compile(_NEVER[what], re.IGNORECASE | re.DOTALL)
    assert not [place for place, text in _STATEMENTS.items() if rule.search(text)]


def test_statements_are_found() -> None:
    """Otherwise the other tests would check nothing."""
    assert len(_STATEMENTS) > 200
    assert sum(place.endswith(".sql") for place in _STATEMENTS) > 10
    assert any(".py line" in place for place in _STATEMENTS)


def test_laterals_neither_skip_nor_count() -> None:
    wrong = []
    for place, text in _STATEMENTS.items():
        if place.split("/")[-1].split()[0] in _LOCAL:
            continue
        for lateral in re.findall(r"\blateral \((.*?)\n\) ", text, re.DOTALL):
            is_of_a_channel = "$channel_id" in lateral  # then one shard runs all of it
            counts = re.search(r"\b(count|sum|min|max|array_agg|bool_or|offset)\b", lateral)
            if counts and not is_of_a_channel and re.search(_named(SHARDED), lateral):
                wrong.append(place)
    assert not wrong


def test_reference_tables_are_not_changed_by_what_is_sharded() -> None:
    changes = rf"\b(update|delete from|insert into)\s+({'|'.join(REFERENCE)})\b"
    assert not [
        place
        for place, text in _STATEMENTS.items()
        if re.search(changes, text) and re.search(_named(SHARDED), text)
    ]


def _named(tables: tuple[str, ...]) -> str:
    return rf"\b(from|join|using|into|update)\s+({'|'.join(tables)})\b"
