"""The rules: one verb per file, pure functions on frames."""
