"""Random programs and hostile calls, which must not crash, panic, err or leak: `make fuzz`.

Cases come in families (`families/`). A case is known by its family, a seed and its number, and
these three make it again. A driver (`driver.py`) starts workers (`worker.py`), processes that run a
slice of the cases of one family each. Before a worker does anything it writes down what, so that a
signal or a hang is known by the case that it came from.
"""
