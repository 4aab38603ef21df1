"""Quantiles of Student's t distribution."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.estimate.student import t_quantile


@pytest.mark.parametrize(
    ("degrees_of_freedom", "published"),
    [
        (1, 12.706205),
        (2, 4.302653),
        (3, 3.182446),
        (4, 2.776445),
        (9, 2.262157),
        (10, 2.228139),
        (19, 2.093024),
        (30, 2.042272),
        (49, 2.009575),
        (120, 1.979930),
        (1000, 1.962339),
    ],
)
def test_quantiles_for_95_percent_are_those_of_the_tables(
    degrees_of_freedom: int, published: float
) -> None:
    assert t_quantile(0.975, degrees_of_freedom) == pytest.approx(published, abs=1e-6)


@given(probability=st.floats(0.51, 0.9995))
def test_one_and_two_degrees_of_freedom_have_a_closed_form(probability: float) -> None:
    cauchy = math.tan(math.pi * (probability - 0.5))
    assert t_quantile(probability, 1) == pytest.approx(cauchy, rel=1e-9)
    spare = 4 * probability * (1 - probability)
    assert t_quantile(probability, 2) == pytest.approx(
        2 * (probability - 0.5) * math.sqrt(2 / spare), rel=1e-9
    )


@given(degrees_of_freedom=st.integers(1, 400), probability=st.floats(0.51, 0.9995))
def test_fewer_degrees_of_freedom_and_more_confidence_give_a_wider_quantile(
    degrees_of_freedom: int, probability: float
) -> None:
    quantile = t_quantile(probability, degrees_of_freedom)
    assert quantile > t_quantile(probability, degrees_of_freedom + 1) > 0
    assert quantile > t_quantile(probability - 0.005, degrees_of_freedom)


def test_series_and_expansion_meet() -> None:
    """Between 200 and 201 the formula changes, but the curve has no step."""
    before, at, after, later = (t_quantile(0.975, df) for df in (199, 200, 201, 202))
    assert after - at == pytest.approx(((at - before) + (later - after)) / 2, rel=1e-3)


@pytest.mark.parametrize(("probability", "degrees_of_freedom"), [(0.5, 3), (1.0, 3), (0.975, 0)])
def test_what_has_no_quantile_is_refused(probability: float, degrees_of_freedom: int) -> None:
    with pytest.raises(ValueError, match="must"):
        t_quantile(probability, degrees_of_freedom)
