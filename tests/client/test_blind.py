"""Pseudonyms and blinded ids, which are sent in place of keys and ids."""

from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.client import blind_channel, blind_envelope, blind_message, pseudonym

ids = st.text(min_size=1, max_size=200)


@given(channel=ids, message=ids)
def test_all_members_of_a_channel_come_to_the_same_values(channel: str, message: str) -> None:
    assert blind_channel(channel) == blind_channel(channel)
    assert blind_message(channel, message) == blind_message(channel, message)
    assert len({blind_channel(channel), blind_message(channel, message)}) == 2


@given(one=ids, other=ids, message=ids)
def test_channels_have_nothing_in_common(one: str, other: str, message: str) -> None:
    if one != other:
        assert blind_channel(one) != blind_channel(other)
        assert blind_message(one, message) != blind_message(other, message)


@given(one=st.binary(min_size=32, max_size=32), other=st.binary(min_size=32, max_size=32))
def test_a_pseudonym_is_the_installations_own(one: bytes, other: bytes) -> None:
    assert pseudonym(one, "0x04aa") == pseudonym(one, "0x04aa")
    assert pseudonym(one, "0x04aa") != pseudonym(one, "0x04ab")
    assert (pseudonym(one, "0x04aa") == pseudonym(other, "0x04aa")) == (one == other)


def test_no_envelope_stays_none() -> None:
    assert blind_envelope("c1", "") == ""
    assert blind_envelope("c1", "e1") != blind_message("c1", "e1")
