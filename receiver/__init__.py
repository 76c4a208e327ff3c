"""The partner side: verify, fold, query."""
