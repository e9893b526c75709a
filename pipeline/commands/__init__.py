"""The commands of `python -m pipeline`, a module each: its arguments, and its `main`."""
