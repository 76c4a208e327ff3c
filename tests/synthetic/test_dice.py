"""Random numbers with an address."""

import numpy as np
import pytest

from synthetic.dice import Dice, curve

KEYS = np.arange(200_000)
GOLDEN = [15809381979248256455, 7436985713308563368]


def test_a_number_depends_on_its_address_alone() -> None:
    dice = Dice((7,)).at("FK:SJP")
    whole = dice.uniform("days", KEYS, KEYS % 3)
    assert (dice.uniform("days", KEYS[5000:5010], KEYS[5000:5010] % 3) == whole[5000:5010]).all()


@pytest.mark.parametrize("other", [Dice((8,)).at("a"), Dice((7,)).at("b"), Dice((7,)), Dice((7,)).at("a", "a")])
def test_another_seed_or_name_gives_other_numbers(other: Dice) -> None:
    assert abs(np.corrcoef(Dice((7,)).at("a").uniform("x", KEYS), other.uniform("x", KEYS))[0, 1]) < 0.01


def test_neighbouring_keys_are_independent() -> None:
    drawn = Dice((7,)).uniform("x", KEYS)
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.01
    assert abs(drawn.mean() - 0.5) < 0.005


def test_a_golden_number_stays_as_it_is() -> None:
    assert Dice((7, "")).words("member", np.array([0, 1])).tolist() == GOLDEN


def test_whole_numbers_reach_both_limits() -> None:
    assert set(Dice((7,)).integers("x", 3, 6, KEYS).tolist()) == {3, 4, 5, 6}


def test_a_pick_follows_its_weights() -> None:
    shares = np.bincount(Dice((7,)).pick("x", (60, 30, 10), KEYS)) / len(KEYS)
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.01)


def test_quantiles_follow_their_table() -> None:
    drawn = Dice((7,)).quantile("x", ((0, 0), (0.5, 10), (1, 100)), KEYS)
    assert np.median(drawn) == pytest.approx(10, abs=1)
    assert (drawn.min(), drawn.max()) == pytest.approx((0, 100), abs=1)


def test_a_curve_is_linear_between_its_points_and_level_outside() -> None:
    assert curve(((10, 0), (20, 1)), [5, 10, 15, 25]).tolist() == [0, 0, 0.5, 1]
