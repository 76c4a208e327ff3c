"""R42: slices no two of which differ by more than the largest bucket."""

from hypothesis import given
from hypothesis import strategies as st

from transforms.deal import deal


@given(st.lists(st.integers(0, 1000), max_size=80), st.integers(1, 20))
def test_no_two_slices_differ_by_more_than_the_largest_bucket_and_each_bucket_has_one(weights: list[int], nights: int) -> None:
    slices = deal(weights, nights)
    assert len(slices) == nights
    assert sorted(bucket for each in slices for bucket in each) == list(range(len(weights)))
    sums = [sum(weights[bucket] for bucket in each) for each in slices]
    assert max(sums) - min(sums) <= max(weights, default=0)


def test_the_largest_buckets_are_dealt_first_so_that_small_ones_can_even_them_out() -> None:
    assert deal([1, 1, 2, 4], 2) == ((3,), (0, 1, 2))
    assert deal([3, 3, 2, 2, 2], 2) == ((0, 2, 4), (1, 3))


def test_buckets_without_persons_are_spread_evenly() -> None:
    assert [len(each) for each in deal([0] * 64, 5)] == [13, 13, 13, 13, 12]
