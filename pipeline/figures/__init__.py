"""Figures: pure functions from arrays to a `matplotlib.figure.Figure`, in the style of `style`."""
