"""Versions of what is stored, apart from the frames, so that `status` and `--help` need not load them."""

CONTENT_VERSION = 1  # of transforms/digest.py; a workspace of an older one has its ledger recoded (pipelines/upgrade.py)
