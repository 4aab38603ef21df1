"""The side on which messages are lost is found in worlds with a known fault (bench/sides.py)."""

from collections import Counter

import numpy as np
import pytest
from bench.sides import LAYOUTS, Layout, verdict, world

from devtelemetry.figures.sides import Side, sentence, suspects

WORLDS = 40
MANY, FEW = LAYOUTS


def verdicts(layout: Layout, receivers: int, fault: Side | None, points: float) -> Counter[object]:
    generator = np.random.default_rng([receivers, round(100 * points)])
    return Counter(
        verdict(world(generator, layout, receivers, fault, points)) for _ in range(WORLDS)
    )


@pytest.mark.parametrize("fault", Side)
@pytest.mark.parametrize("layout", LAYOUTS, ids=["many channels", "few channels"])
def test_a_great_fault_is_called_by_its_side(layout: Layout, fault: Side) -> None:
    found = verdicts(layout, 50, fault, 0.05)
    assert found[fault] >= 0.85 * WORLDS
    assert not {one for one in found if isinstance(one, Side)} - {fault}


@pytest.mark.parametrize("layout", LAYOUTS, ids=["many channels", "few channels"])
@pytest.mark.parametrize("receivers", [20, 50])
def test_without_a_fault_no_side_is_called(layout: Layout, receivers: int) -> None:
    assert verdicts(layout, receivers, None, 0.0)[None] >= 0.95 * WORLDS


def test_a_sentence_says_whose_messages_are_lost() -> None:
    generator = np.random.default_rng(1)
    found = suspects([world(generator, MANY, 200, Side.SENDER, 0.2)])
    assert sentence(found).startswith(
        "Messages are lost on the sender's side: of messages of authors with app version 2 "
    )
    assert sentence([]) == ""


def test_of_several_sides_that_differ_alike_none_is_called() -> None:
    generator = np.random.default_rng(1)
    sender = suspects([world(generator, MANY, 200, Side.SENDER, 0.1)])
    receiver = suspects([world(generator, MANY, 200, Side.RECEIVER, 0.1)])
    said = sentence([sender[0], receiver[0]])
    assert said.startswith("It cannot be told on which side messages are lost")
    assert "Sender's side: " in said
    assert "Receiver's side: " in said
