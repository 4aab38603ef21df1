"""The cookie of a signed-in viewer: only our own, unchanged, and not for ever."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.dashboard.session import Session, read_cookie, session_key, write_cookie
from devtelemetry.store.tokens import token_digest

KEY = session_key(b"k" * 32)
SESSION = Session(token_digest("dt_secret"), 2_000)


def test_a_cookie_is_read_back_until_it_ends() -> None:
    cookie = write_cookie(SESSION, KEY)
    assert read_cookie(cookie, KEY, now=1_999.9) == SESSION
    assert read_cookie(cookie, KEY, now=2_000) is None


def test_another_deployments_cookie_is_none() -> None:
    assert read_cookie(write_cookie(SESSION, KEY), session_key(b"o" * 32), now=0) is None


@given(position=st.integers(0, 71), bit=st.integers(0, 7))
def test_a_cookie_with_one_bit_changed_is_none(position: int, bit: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(write_cookie(SESSION, KEY)))
    raw[position] ^= 1 << bit
    assert read_cookie(base64.urlsafe_b64encode(raw).decode(), KEY, now=0) is None


@given(text=st.text())
def test_what_is_no_cookie_is_none(text: str) -> None:
    assert read_cookie(text, KEY, now=0) is None


def test_the_token_is_not_in_its_cookie() -> None:
    raw = base64.urlsafe_b64decode(write_cookie(SESSION, KEY))
    assert b"secret" not in raw
