"""Deal buckets to nights (R42)."""

from collections.abc import Sequence
from heapq import heappop, heappush


def deal(weights: Sequence[int], nights: int) -> tuple[tuple[int, ...], ...]:
    """The buckets of each night: heaviest first, each to the night that has least so far.

    weights: persons by bucket. No two nights differ by more than the heaviest bucket; buckets without persons are spread evenly, too.
    """
    slices: list[list[int]] = [[] for _ in range(nights)]
    least = [(0, 0, night) for night in range(nights)]
    for bucket in sorted(range(len(weights)), key=lambda bucket: (-weights[bucket], bucket)):
        weight, count, night = heappop(least)
        slices[night].append(bucket)
        heappush(least, (weight + weights[bucket], count + 1, night))
    return tuple(tuple(sorted(each)) for each in slices)
