"""Run as a script by million.py: prints the seconds and the peak memory of one long chain."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import needle as ndl


def main() -> None:
    """Build, differentiate and drop a chain of as many nodes as the first argument says."""
    nodes = int(sys.argv[1])
    x: Any = ndl.Tensor(np.ones(4, np.float32), requires_grad=True)
    begin = time.perf_counter()
    y = x
    for _ in range(nodes):
        y = y * 1.000001
    built = time.perf_counter()
    y.backward()
    x.grad.numpy()
    differentiated = time.perf_counter()
    del y
    dropped = time.perf_counter()
    found = {
        "forward": built - begin,
        "backward": differentiated - built,
        "drop": dropped - differentiated,
        "time": dropped - begin,
        "memory": peak_memory(),
    }
    print(json.dumps(found))


def peak_memory() -> int:
    """The most bytes of memory that this process has held."""
    # Linux hands the peak of the parent on through fork and exec in ru_maxrss: VmHWM is our own.
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
