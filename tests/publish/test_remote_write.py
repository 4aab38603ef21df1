"""Points on their way to a store: what the store gets, and what its answers cause."""

import ssl
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.publish.answer import Failed, Rejected, StoreAway
from devtelemetry.publish.remote_write import (
    REFUSED_FOR_ONE,
    REQUEST_POINTS,
    Outcome,
    RemoteWrite,
    Stamped,
    labels_of,
)
from support.receiver import TAKEN, Answer, Point, Receiver, receiving

NOW = datetime(2026, 3, 2, 10, 0, 0, tzinfo=UTC)
SECRET = "s3cret-token"


def point(name: str, at_ms: int, value: float = 1.0, **labels: str) -> Stamped:
    return Stamped(labels_of(name, labels), at_ms, value)


def as_received(points: list[Stamped]) -> list[Point]:
    return [(one.series, one.at_ms, one.value) for one in points]


async def test_a_store_gets_series_with_sorted_labels_and_points_in_order_of_time() -> None:
    points = [
        point("b", 1, 0.5, timeframe="1h", Zone="z"),
        point("a", 1, 2.0),
        point("b", 2, 0.25, timeframe="1h", Zone="z"),
    ]
    with receiving(Receiver()) as receiver:
        async with RemoteWrite(receiver.url) as store:
            assert await store.send(points) == Outcome(3)
    assert receiver.requests == [as_received([points[0], points[2], points[1]])]
    assert points[0].series == (("Zone", "z"), ("__name__", "b"), ("timeframe", "1h"))
    (headers,) = receiver.headers
    assert headers["content-encoding"] == "snappy"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["x-prometheus-remote-write-version"] == "0.1.0"
    assert headers["user-agent"].startswith("devtelemetry/")


async def test_nothing_to_send_is_no_request() -> None:
    with receiving(Receiver()) as receiver:
        async with RemoteWrite(receiver.url) as store:
            assert await store.send([]) == Outcome()
    assert receiver.requests == []


def refuse_each(bad: set[tuple[int, int]], text: str) -> Receiver:
    """A receiver that takes a request as a whole or not at all, as Prometheus does."""

    def answer(points: list[Point]) -> Answer:
        refused = any((int(dict(series)["n"]), at_ms) in bad for series, at_ms, _ in points)
        return Answer(400, text) if refused else TAKEN

    return Receiver(answer)


_PLACES = st.tuples(st.integers(0, 4), st.integers(1, 6))  # series, time


@settings(max_examples=40, deadline=None)
@given(st.sets(_PLACES, max_size=30), st.sets(_PLACES, max_size=2 * REFUSED_FOR_ONE - 1))
async def test_a_bad_point_never_costs_a_good_one(
    sent: set[tuple[int, int]], bad: set[tuple[int, int]]
) -> None:
    points = sorted((point("a", at, n=str(n)) for n, at in sent), key=lambda one: one.at_ms)
    with receiving(refuse_each(bad, "out of order sample")) as receiver:
        async with RemoteWrite(receiver.url) as store:
            outcome = await store.send(points)
    good = [one for one in points if (int(dict(one.series)["n"]), one.at_ms) not in bad]
    assert sorted(receiver.taken) == sorted(as_received(good))
    assert outcome.taken == len(good)
    assert outcome.rejected == Counter({Rejected.OUT_OF_ORDER: len(points) - len(good)})


async def test_the_points_of_a_series_go_oldest_first_whatever_is_refused() -> None:
    points = [point("a", at, n=str(n)) for at in range(1, 9) for n in (0, 1)]
    with receiving(refuse_each({(0, 2), (1, 7)}, "duplicate sample for timestamp")) as receiver:
        async with RemoteWrite(receiver.url) as store:
            outcome = await store.send(points)
    assert outcome == Outcome(14, Counter({Rejected.DUPLICATE: 2}))
    for n in ("0", "1"):
        times = [at for series, at, _ in receiver.taken if dict(series)["n"] == n]
        assert times == sorted(times)
        assert len(times) == 7


@pytest.mark.parametrize(("times", "requests"), [(1, 250), (50, 450)])
async def test_a_store_that_refuses_every_point_is_not_asked_about_each(
    times: int, requests: int
) -> None:
    of_one = REQUEST_POINTS // times
    points = [point("a", at, n=str(n)) for at in range(times) for n in range(of_one)]
    with receiving(Receiver(lambda _: Answer(400, "limit of series"))) as receiver:
        async with RemoteWrite(receiver.url) as store:
            outcome = await store.send(points)
    assert outcome == Outcome(0, Counter({Rejected.OTHER: REQUEST_POINTS}))
    assert len(receiver.requests) < requests


async def test_times_that_are_too_old_cost_no_point_of_a_later_one() -> None:
    points = [point("a", at, n=str(n)) for at in range(40) for n in range(20)]
    bad = {(n, at) for n in range(20) for at in range(37)}
    with receiving(refuse_each(bad, "out of order sample")) as receiver:
        async with RemoteWrite(receiver.url) as store:
            outcome = await store.send(points)
    assert outcome == Outcome(3 * 20, Counter({Rejected.OUT_OF_ORDER: 37 * 20}))
    assert sorted(receiver.taken) == sorted(as_received(points[37 * 20 :]))


@pytest.mark.parametrize("every", [2, 3, 7])
async def test_of_series_that_are_refused_for_long_few_good_ones_behind_them_are_lost(
    every: int,
) -> None:
    """The first hundred are all bad, and of the others one in so many."""
    bad = {(n, 1) for n in range(1000) if n < 100 or n % every == 0}
    points = [point("a", 1, n=str(n)) for n in range(1000)]
    with receiving(refuse_each(bad, "limit of series")) as receiver:
        async with RemoteWrite(receiver.url) as store:
            outcome = await store.send(points)
    assert outcome.taken == len(receiver.taken) == len(set(receiver.taken))
    assert outcome.sent == len(points), "each is counted once"
    assert not bad & {(int(dict(series)["n"]), at) for series, at, _ in receiver.taken}
    lost = len(points) - len(bad) - outcome.taken
    assert 0 <= lost <= 2 * 100 // REFUSED_FOR_ONE


async def test_a_time_that_is_out_of_bounds_is_not_asked_about_for_each_series() -> None:
    points = [point("a", at, n=str(n)) for at in (1, 2) for n in range(100)]
    with receiving(refuse_each({(n, 1) for n in range(100)}, "out of bounds")) as receiver:
        async with RemoteWrite(receiver.url) as store:
            outcome = await store.send(points)
    assert outcome == Outcome(100, Counter({Rejected.TOO_OLD: 100}))
    assert len(receiver.requests) == 3


async def test_the_500_of_a_point_that_is_too_old_is_given_up_alone() -> None:
    def answer(points: list[Point]) -> Answer:
        return Answer(500, "too old sample") if any(at == 1 for _, at, _ in points) else TAKEN

    with receiving(Receiver(answer)) as receiver:
        async with RemoteWrite(receiver.url) as store:
            outcome = await store.send([point("a", 1), point("a", 2)])
    assert outcome == Outcome(1, Counter({Rejected.TOO_OLD: 1}))


@pytest.mark.parametrize(
    ("answer", "failed", "seconds"),
    [
        (Answer(429, "", {"Retry-After": "17"}), Failed.BUSY, 17.0),
        (
            Answer(503, "", {"Retry-After": "Mon, 02 Mar 2026 10:01:00 GMT"}),
            Failed.SERVER_ERROR,
            60.0,
        ),
        (Answer(500, "no space left on device"), Failed.SERVER_ERROR, None),
        (Answer(401, "who?"), Failed.MISDIRECTED, None),
        (Answer(302, "", {"Location": "http://127.0.0.1:1/"}), Failed.MISDIRECTED, None),
    ],
)
async def test_what_is_not_taken_now_is_sent_as_a_whole_later(
    answer: Answer, failed: Failed, seconds: float | None
) -> None:
    with receiving(Receiver(lambda _: answer)) as receiver:
        async with RemoteWrite(receiver.url, now=lambda: NOW) as store:
            with pytest.raises(StoreAway, match=str(answer.status)) as caught:
                await store.send([point("a", 1), point("a", 2)])
    assert caught.value.failed is failed
    assert caught.value.retry_after_seconds == seconds
    assert len(receiver.requests) == 1


async def test_a_store_that_cannot_be_reached_is_told_by_its_address() -> None:
    with receiving(Receiver()) as receiver:
        url = receiver.url
    async with RemoteWrite(url) as store:
        with pytest.raises(StoreAway, match=r"http://127\.0\.0\.1:\d+ cannot be reached") as caught:
            await store.send([point("a", 1)])
    assert caught.value.failed is Failed.NETWORK


# ---------------------------------------------------------------------------- logins and TLS


def header_file(directory: Path, text: str) -> Path:
    path = directory / "headers"
    path.write_text(text, encoding="utf-8")
    return path


async def test_headers_are_those_of_the_file_as_it_is_when_a_request_goes_out(
    tmp_path: Path,
) -> None:
    headers = header_file(
        tmp_path, f"# who we are\n\nAuthorization: Bearer {SECRET}\nX-Team:  a b\n"
    )
    with receiving(Receiver()) as receiver:
        async with RemoteWrite(receiver.url, headers=headers) as store:
            await store.send([point("a", 1)])
            header_file(tmp_path, "authorization: Bearer new\nContent-Encoding: gzip\n")
            await store.send([point("a", 2)])
            headers.unlink()
            with pytest.raises(StoreAway, match="cannot be read") as caught:
                await store.send([point("a", 3)])
    assert caught.value.failed is Failed.MISDIRECTED
    first, second = receiver.headers
    assert (first["authorization"], first["x-team"]) == (f"Bearer {SECRET}", "a b")
    assert second["authorization"] == "Bearer new"
    assert second["content-encoding"] == "snappy"
    assert "x-team" not in second


@pytest.mark.parametrize(
    "line", [f"Bearer {SECRET}", f"Authorization {SECRET}", f": {SECRET}", f"A: {SECRET}\x01"]
)
def test_a_line_that_is_no_header_is_refused_without_being_shown(tmp_path: Path, line: str) -> None:
    headers = header_file(tmp_path, f"X-Team: a\n{line}\n")
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        RemoteWrite("http://127.0.0.1:1/", headers=headers)
    assert SECRET not in str(caught.value)


def test_a_login_does_not_go_to_another_machine_in_clear(tmp_path: Path) -> None:
    headers = header_file(tmp_path, f"authorization: Bearer {SECRET}\n")
    with pytest.raises(ConfigurationError, match="without TLS") as caught:
        RemoteWrite("http://192.0.2.1/api/v1/write", headers=headers)
    assert SECRET not in str(caught.value)
    RemoteWrite("http://192.0.2.1/api/v1/write", headers=headers, insecure=True)
    RemoteWrite("https://192.0.2.1/api/v1/write", headers=headers)
    RemoteWrite("http://127.0.0.1/api/v1/write", headers=headers)
    RemoteWrite("http://192.0.2.1/", headers=header_file(tmp_path, "X-Scope-OrgID: team\n"))


async def test_no_error_shows_what_may_be_secret(tmp_path: Path) -> None:
    headers = header_file(tmp_path, f"Authorization: Bearer {SECRET}\n")
    with receiving(Receiver(lambda _: Answer(403, "no"))) as receiver:
        async with RemoteWrite(f"{receiver.url}/{SECRET}?key={SECRET}", headers=headers) as store:
            with pytest.raises(StoreAway) as caught:
                await store.send([point("a", 1)])
    assert SECRET not in str(caught.value)
    assert receiver.headers[0]["authorization"].endswith(SECRET)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def test_tls_is_checked_by_the_given_authority_and_no_other(
    tmp_path: Path, authority: trustme.CA
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    known, other = tmp_path / "known.pem", tmp_path / "other.pem"
    authority.cert_pem.write_to_path(known)
    trustme.CA().cert_pem.write_to_path(other)
    with receiving(Receiver(), context) as receiver:
        async with RemoteWrite(receiver.url, ca=known) as store:
            assert await store.send([point("a", 1)]) == Outcome(1)
        for ca in (other, None):
            async with RemoteWrite(receiver.url, ca=ca) as store:
                with pytest.raises(StoreAway, match="certificate verify failed") as caught:
                    await store.send([point("a", 2)])
            assert caught.value.failed is Failed.NETWORK
    assert receiver.taken == [((("__name__", "a"),), 1, 1.0)]


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_told_at_the_start(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match="remote_write_ca"):
        RemoteWrite("https://127.0.0.1:1/", ca=path)
