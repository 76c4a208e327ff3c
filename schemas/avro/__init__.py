"""The .avsc files."""
