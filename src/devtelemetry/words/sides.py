"""The side where messages are lost, in words. Pure."""

from devtelemetry.model import Dimension
from devtelemetry.words.names import group
from devtelemetry.words.numbers import percent

_WHOSE = {
    Dimension.AUTHOR_PLATFORM: "messages of authors with platform",
    Dimension.AUTHOR_APP_VERSION: "messages of authors with app version",
    Dimension.PLATFORM: "messages for receivers with platform",
    Dimension.APP_VERSION: "messages for receivers with app version",
    Dimension.PATH: "messages on the path",
}


def side(name: str, dimension: Dimension, value: str, ratio: float, others: float) -> str:
    """`sender's side: of messages of authors with app version 2.1 95.10 % are delivered, …`"""
    return (
        f"{name}: of {_WHOSE[dimension]} {group(value)} {percent(ratio)} are delivered, of others "
        f"{percent(others)}"
    )
