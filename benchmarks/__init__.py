"""The night against other ways to do the same: the textbook pipeline, bare Polars, the floor, PySpark."""
