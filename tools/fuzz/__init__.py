"""Random programs and hostile calls, which must not crash, panic, err or leak: `make fuzz`.

Cases come in families (`families/`). A case is known by its family, a seed and its number, and
these three make it again. A driver (`driver.py`) starts workers (`worker.py`), each a process that
runs a slice of the cases of one family. Before a worker does anything it writes down what, so that a
signal or a hang is known by the case that it came from.
"""
