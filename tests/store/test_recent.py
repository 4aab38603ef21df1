"""The memory is bounded over all kinds together, and keeps the newest entries of each kind."""

from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.store.keyring import Keyring
from devtelemetry.store.recent import LONGEST, Memory, Recent

ENTRIES = 100


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3 * ENTRIES))))
def test_all_kinds_together_have_no_more_than_is_allowed(grows: list[tuple[int, int]]) -> None:
    memory = Memory(ENTRIES)
    kinds: list[Recent[int, str]] = [Recent(memory) for _ in range(3)]
    said = [0, 0, 0]
    for which, size in grows:
        others = [len(kind) for kind in kinds if kind is not kinds[which]]
        rows = {number: str(number) for number in range(said[which], said[which] + size)}
        kinds[which].remember(rows)
        said[which] += size
        assert len(kinds[which]) <= ENTRIES
        assert others == [len(kind) for kind in kinds if kind is not kinds[which]]
        memory.make_room()
        assert sum(map(len, kinds)) <= ENTRIES
        for kind, count in zip(kinds, said, strict=True):
            assert list(kind) == list(range(count - len(kind), count))  # the newest


def test_a_kind_that_is_used_alone_has_all_of_it() -> None:
    memory = Memory(ENTRIES)
    used: Recent[int, None] = Recent(memory)
    unused: Recent[int, None] = Recent(memory)
    unused.remember({1: None})
    used.remember(dict.fromkeys(range(ENTRIES - 1)))
    memory.make_room()
    assert len(used) == ENTRIES - 1
    used.remember({ENTRIES: None})
    memory.make_room()
    assert len(used) == ENTRIES // 2
    assert unused  # only the largest kind drops entries


def test_a_kind_that_is_gone_takes_no_room() -> None:
    memory = Memory(ENTRIES)
    gone: Recent[int, None] = Recent(memory)
    gone.remember(dict.fromkeys(range(ENTRIES)))
    del gone
    kind: Recent[int, None] = Recent(memory)
    kind.remember(dict.fromkeys(range(ENTRIES)))
    memory.make_room()
    assert len(kind) == ENTRIES


def test_what_was_said_last_of_a_thing_is_known() -> None:
    known: Recent[str, int] = Recent(Memory())
    known.remember({"a": 1})
    known.remember({"a": 2})
    assert known == {"a": 2}


def test_a_text_that_is_too_long_is_not_remembered_and_has_its_id_all_the_same() -> None:
    keyring = Keyring(bytes(32))
    for text in ("c" * LONGEST, "c" * (LONGEST + 1)):
        assert keyring.channel(text) == keyring.channel(text) == Keyring(bytes(32)).channel(text)
        assert keyring.receiver(text, "").owner_id == keyring.owner(text)
    assert sum(map(len, keyring.memory.kinds())) == 2  # a channel and a receiver
