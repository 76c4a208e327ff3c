"""The two gates, which stop a drop that is not like the others: their codes and limits. They are the contract's own (R4, docs/contract.md), and hold
from the first night on."""

QUARANTINE_RATE, VOLUME = GATES = ("QUARANTINE_RATE", "VOLUME")
RATE_PERCENT, RATE_RECORDS = 1, 20  # rejected, of a drop's records: more than both
VOLUME_ROWS = 1000  # a drop of so many rows at most is never looked at
VOLUME_FACTOR = 10  # from a tenth to ten times the usual
VOLUME_WINDOW, VOLUME_HISTORY = 10, 5  # the usual: the median of the drops consumed last, once there are so many
