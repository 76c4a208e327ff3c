"""Random numbers with an address: the same seed, name and keys give the same number, in whatever order or portion they are asked for.

So any person's history can be made at any time without making the others', and neither the size of a chunk nor threads change a byte.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
Table = Sequence[tuple[float, float]]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(words: Words) -> Words:
    """The finaliser of splitmix64: a bijection whose output looks random."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def curve(table: Table, at: npt.ArrayLike) -> Floats:
    """Values of a table of (place, value), linear in between."""
    places, values = zip(*table, strict=True)
    return np.asarray(np.interp(np.asarray(at, np.float64), np.array(places), np.array(values)))


@dataclass(frozen=True)
class Dice:
    """A source of numbers that depend on `path` (the seed and the names on the way here) and on the keys of each call."""

    path: tuple[str | int, ...]

    def at(self, *names: str | int) -> "Dice":
        """The dice of a part of the whole, independent of those of any other part."""
        return Dice((*self.path, *names))

    def words(self, name: str, *keys: npt.ArrayLike) -> Words:
        """Uniform 64-bit words, one per element of the keys (broadcast)."""
        salt = int.from_bytes(hashlib.sha256(repr((*self.path, name)).encode()).digest()[:8], "little")
        words: Words = np.full(1, salt, np.uint64)
        for key in keys:
            words = mix(words + (np.atleast_1d(np.asarray(key)).astype(np.uint64) + np.uint64(1)) * GOLDEN)
        return words

    def uniform(self, name: str, *keys: npt.ArrayLike) -> Floats:
        """Numbers in [0, 1)."""
        return (self.words(name, *keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def chance(self, name: str, share: npt.ArrayLike, *keys: npt.ArrayLike) -> Bools:
        """True in a share of the cases; the share may differ by element."""
        return np.asarray(self.uniform(name, *keys) < np.asarray(share))

    def integers(self, name: str, low: npt.ArrayLike, high: npt.ArrayLike, *keys: npt.ArrayLike) -> Ints:
        """Whole numbers from low to high, both included; the limits may differ by element."""
        first = np.asarray(low, np.int64)
        return first + (self.uniform(name, *keys) * (np.asarray(high, np.int64) - first + 1)).astype(np.int64)

    def quantile(self, name: str, table: Table, *keys: npt.ArrayLike) -> Ints:
        """Whole numbers of a distribution given as (share below, value), linear in between."""
        return np.rint(curve(table, self.uniform(name, *keys))).astype(np.int64)

    def pick(self, name: str, weights: Sequence[float], *keys: npt.ArrayLike) -> Ints:
        """Places in a list, by weight."""
        edges = np.cumsum(weights) / np.sum(weights)
        return np.asarray(np.minimum(np.searchsorted(edges, self.uniform(name, *keys), side="right"), len(weights) - 1))
