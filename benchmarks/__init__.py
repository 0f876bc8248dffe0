"""needle beside NumPy, and beside PyTorch and JAX where they are installed, in one run.

`make bench`, or `python -m benchmarks --help`.

    timing.py    contestants take turns: warm-up, rounds, medians, spread
    machine.py   what it runs on, and whether others keep it busy
    peers.py     the other libraries, each only where it is installed
    child.py     another process, for import times and peak memory
    figures.py   a measured figure, its bounds, and what follows from the two
    report.py    the table as text and as Markdown, and the record as JSON
    against.py   `make bench-against`: this tree beside another revision, in one run
    revision.py  that revision, built in a folder of its own
    turns.py     the two processes, and their turns
    rows/        what is measured: one function for each row
"""
