"""Answers of models to images, as files."""

ENDINGS = (".csv", ".parquet", ".npz")  # of their names
