"""In which order records arrived: by night, then drop, then row, all in one number of 63 bits."""

NIGHT_BITS, DROP_BITS, ROW_BITS = 15, 16, 32
MOST_DROPS = (1 << DROP_BITS) - 1  # in a night; the last ordinal is that of what lefi itself makes


def arrival_of(night: int, ordinal: int) -> int:
    """Where the arrivals of a drop begin: night, then the drop's ordinal in it, then the row. Fits 63 bits to night 32767."""
    return ((night << DROP_BITS) | ordinal) << ROW_BITS
