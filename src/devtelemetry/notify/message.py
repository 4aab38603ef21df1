"""One message on several notices: title and text for people, and the same as JSON. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devtelemetry import words
from devtelemetry.figures.document import iso
from devtelemetry.problems.problem import Problem, problem_as_json

MOST_TOLD = 10  # problems in a message; further ones are only counted

# Names come from clients. In a chat nothing in them must become a link, a mention or a style.
_ODD = re.compile(r"[^\w .+→…-]|\.(?=\w*[^\W\d_])")


@dataclass(frozen=True, slots=True)
class Notice:
    """What a target still has to be told about one problem.

    unit      kind, value and app version, as in problems.explain.Unit
    document  the problem as JSON, as it was last listed, with its name
    ended     the end of the first window after which it was not listed; None if it is listed
    """

    unit: tuple[str, str, str]
    document: Mapping[str, Any]
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """kind      one of Apprise's: `warning`, `success` or `info`
    document  the JSON that a webhook gets
    """

    title: str
    body: str
    kind: str
    document: Mapping[str, Any]


def document_of(problem: Problem) -> dict[str, Any]:
    """What a notice keeps of a problem, as JSON."""
    return {"name": problem.name, **problem_as_json(problem)}


def message_of(notices: Sequence[Notice], public_url: str | None) -> Message:
    """notices  at least one

    public_url  where people open the pages; None: there are no links
    """
    new = [one for one in notices if one.ended is None]
    ended = [one for one in notices if one.ended is not None]
    told = [*new, *ended][:MOST_TOLD]
    more = len(notices) - len(told)
    paragraphs = [_paragraph(one, public_url) for one in told]
    if more:
        paragraphs.append(f"And {words.count(more)} more.")
    if public_url is not None:
        paragraphs.append(f"All: {public_url}/")
    return _message(
        _title(new, ended),
        "\n\n".join(paragraphs),
        "warning" if new else "success",
        new=[_as_json(one, public_url) for one in told if one.ended is None],
        ended=[_as_json(one, public_url) for one in told if one.ended is not None],
        more=more,
    )


def trial(public_url: str | None) -> Message:
    """The message that is sent to test the targets."""
    link = "" if public_url is None else f"\n\n{public_url}/"
    text = "This is a trial. Messages about new and ended problems will come here."
    return _message("Dev-Telemetry: a trial", text + link, "info", new=[], ended=[], more=0)


def plain(name: str) -> str:
    """A name without links, mentions and styles: `2.30.1`, `evil․example`."""
    return _ODD.sub(lambda odd: "․" if odd[0] == "." else "_", name)


def _message(title: str, body: str, kind: str, **news: object) -> Message:
    return Message(title, body, kind, {"title": title, "body": body, "type": kind, **news})


def _title(new: Sequence[Notice], ended: Sequence[Notice]) -> str:
    match new, ended:
        case [one], []:
            return f"New problem: {plain(one.document['name'])}"
        case [], [one]:
            return f"Problem ended: {plain(one.document['name'])}"
    said = [
        f"{number} {'problem' if number == 1 else 'problems'} {what}"
        for number, what in ((len(new), "new"), (len(ended), "ended"))
        if number
    ]
    return ", ".join(said)


def _paragraph(one: Notice, public_url: str | None) -> str:
    name = plain(one.document["name"])
    began = words.utc(datetime.fromisoformat(one.document["began"]))
    if one.ended is None:
        said = f"New: {name}: {one.document['what'].removeprefix(one.document['name'] + ': ')}"
    else:
        said = (
            f"Ended: {name}. It began {began} and has not been listed since {words.utc(one.ended)}."
        )
    return said if public_url is None else f"{said}\n{public_url}{one.document['page']}"


def _as_json(one: Notice, public_url: str | None) -> dict[str, Any]:
    return {
        **one.document,
        "ended": one.ended and iso(one.ended),
        "link": public_url and public_url + one.document["page"],
    }
