"""The texts of deviations; they are free."""

DEVIATION_TEXTS = {
    "PERIOD_MISMATCH": "The payment's period lies outside the decisions of its case.",
    "NO_COMPENSATED_DAYS": "No day of the payment's period is compensated.",
    "DAY_COUNT_MISMATCH": "The source states another number of days than the windows hold.",
    "UNKNOWN_REFERENCE": "The claim does not refer to a payment that is held.",
}
