"""The pattern of a link is checked when it is set; a client's text fills only one part of it."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.model.links import PLACEHOLDERS, fill
from devtelemetry.settings.settings import Settings

GOOD = (
    "https://logs.example.org/search?q={message_id}",
    "http://127.0.0.1:3000/explore?left={{%22q%22:%22{message_id}%22}}#{sent_at_ms}",
    "https://[::1]/{channel_id}/{message_id}?at={sent_at}",
)


@pytest.mark.parametrize("pattern", GOOD)
def test_a_pattern_of_http_is_taken(pattern: str) -> None:
    assert Settings(log_link=pattern).log_link == pattern


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("javascript:alert({message_id})", "is not an HTTP URL"),
        ("ftp://logs/{message_id}", "is not an HTTP URL"),
        ("//logs/{message_id}", "is not an HTTP URL"),
        ("https:///{message_id}", "is not an HTTP URL"),
        ("https://logs:x/{message_id}", "is not a URL"),
        ("https://{message_id}.example.org/", "has a placeholder in the host"),
        ("https://logs/", "has no placeholder"),
        ("https://logs/{id}", "has {id}, which is not a placeholder"),
        ("https://logs/{}", "has {}, which is not a placeholder"),
        ("https://logs/{message_id!r}", "has {message_id}, which is not a placeholder"),
        ("https://logs/{message_id.__class__}", "which is not a placeholder"),
        ("https://logs/{message_id:>9}", "which is not a placeholder"),
        ("https://logs/{message_id", "has a single brace"),
        ("https://us:secret@logs/{message_id}", "contains a login"),
        ("https://logs/ {message_id}", "contains a character that no URL has"),
    ],
)
def test_another_pattern_is_refused_with_what_is_wrong(pattern: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="--log-link") as caught:
        Settings(log_link=pattern)
    assert said in str(caught.value)
    assert "allowed: a URL with http:// or https://" in str(caught.value)
    assert "{message_id}, {channel_id}" in str(caught.value)


@given(st.text(st.characters(exclude_categories=())))
def test_what_clients_sent_stays_one_part_of_the_link(value: str) -> None:
    link = fill(GOOD[0], dict.fromkeys(PLACEHOLDERS, value))
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == (
        "https", "logs.example.org", "/search", "",
    )  # fmt: skip
    assert link.isascii()
    sent = value.encode("utf-8", "replace").decode()
    assert parse_qs(parts.query, keep_blank_values=True) == {"q": [sent]}


def test_a_brace_that_stays_is_written_twice() -> None:
    assert fill(GOOD[1], {"message_id": "a/b", "sent_at_ms": "5"}) == (
        "http://127.0.0.1:3000/explore?left={%22q%22:%22a%2Fb%22}#5"
    )
