"""docs/integrate.md can be followed word by word: its hashes and limits are the program's."""

import re
from hashlib import blake2b
from pathlib import Path

import pytest

from devtelemetry.client import Timing, blind_channel, blind_envelope, blind_message, pseudonym
from devtelemetry.client.blind import short_id
from devtelemetry.ingest import check
from devtelemetry.v1.sampling import is_in_sample

PAGE = (Path(__file__).parents[1] / "docs" / "integrate.md").read_text(encoding="utf-8")
SECRET = bytes(range(32))

_VECTOR = re.compile(
    r"^\| ([a-z ]+) \| `([^`]+)`(?: `([^`]+)`)? \| `([0-9a-f]+)` \|$", re.MULTILINE
)
_RECIPE = re.compile(
    r"^\| ([a-z ]+) \| ([a-z' ]+) \| ([a-z ]+) \| `([a-z-]+)` \| (\d+) \|$", re.MULTILINE
)

VECTORS = _VECTOR.findall(PAGE)
RECIPES = {value: rest for value, *rest in _RECIPE.findall(PAGE)}


def by_the_page(value: str, first: str, second: str) -> bytes:
    """The hash, computed only from the table of recipes."""
    source, key, person, size = RECIPES[value]
    text = {
        "user's key": first,
        "channel id": first,
        "message id": second,
        "envelope id": second,
    }[source]
    keys = {"none": b"", "secret": SECRET}
    if key == "channel key":
        keys[key] = by_the_page(key, first, "")
    padded = person.encode().ljust(16, b"\0")
    return blake2b(text.encode(), digest_size=int(size), key=keys[key], person=padded).digest()


def by_the_library(value: str, first: str, second: str) -> str:
    return {
        "pseudonym": lambda: pseudonym(SECRET, first),
        "channel": lambda: blind_channel(first),
        "message": lambda: blind_message(first, second),
        "envelope": lambda: blind_envelope(first, second),
    }[value]()


def test_there_is_a_vector_of_every_hash_that_is_sent() -> None:
    assert set(RECIPES) == {value for value, *_ in VECTORS}
    assert len(VECTORS) > len(RECIPES)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: "-".join(vector[:3]))
def test_a_vector_is_what_the_recipe_and_the_library_give(
    vector: tuple[str, str, str, str],
) -> None:
    value, first, second, told = vector
    assert by_the_page(value, first, second).hex() == told
    if value != "channel key":  # which never leaves the library
        assert by_the_library(value, first, second) == told


def test_the_vector_of_a_long_id_is_what_the_library_sends() -> None:
    assert f"`{short_id('x' * 513)}`" in PAGE
    assert short_id("x" * 512) == "x" * 512


def test_an_empty_envelope_stays_empty() -> None:
    assert "an empty `envelope_id` stays empty" in re.sub(r"\s+", " ", PAGE)
    assert blind_envelope("general", "") == ""


@pytest.mark.parametrize(
    "told",
    [
        f"Up to {check.MAX_SAMPLES_PER_REQUEST:,} samples and",
        f"and {check.MAX_REQUEST_BYTES // 2**20} MiB a request",
        f"{check.MAX_ID_BYTES} bytes, no NUL; [longer ones](#long-ids) |",
        f"{check.MAX_TOPICS_BYTES:,} bytes; {check.MAX_ID_BYTES} bytes, no NUL |",
        f"| {check.MAX_LABEL_BYTES} bytes |",
        f"The library sends {Timing().batch_samples}, or what has waited a minute",
        f"A deadline of {Timing().deadline:.0f} s",
        f"{Timing().first_retry:.0f} s, doubled with each failure in a row up to",
        f"up to {Timing().longest_retry:.0f} s, times a random number from 0.5 to 1",
    ],
)
def test_a_limit_is_the_programs(told: str) -> None:
    assert told in re.sub(r"\s+", " ", PAGE)


def test_the_times_that_the_page_has_in_words_are_the_librarys() -> None:
    assert (Timing().batch, Timing().heartbeat, Timing().rare_retry) == (60.0, 1800.0, 1800.0)
    assert check.AgeLimits().clock_skew_ms == 3_600_000


def test_the_sample_of_the_page_is_the_programs() -> None:
    said = re.search(
        r"With the salt `(\w+)`.*?`(general)`.*?in 2 are (.*?),\s+one in 4", PAGE, re.S
    )
    assert said is not None
    salt = bytes.fromhex(said[1])
    ids = [f"m{number}" for number in range(1, 9)]
    for one_in, named in ((2, said[3]), (4, "`m4` and `m6`"), (8, "`m4`")):
        assert f"one in {one_in}" in PAGE
        of_page = re.findall(r"`(m\d)`", named)
        assert [one for one in ids if is_in_sample(one_in, salt, said[2], one)] == of_page
    digest = blake2b(salt + b"general\0m4", digest_size=8).hexdigest()
    assert f"`0x{digest}`" in PAGE
