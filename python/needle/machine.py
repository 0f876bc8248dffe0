"""What needle runs on: instruction set, threads, versions."""

import platform

import numpy as np

from needle import _core
from needle._core import get_num_threads, set_num_threads

__all__ = ["get_num_threads", "set_num_threads", "show_config"]


def show_config() -> None:
    """Prints versions, instruction set and number of threads.

    ``NEEDLE_ISA`` (scalar, avx2 or avx512) and ``NEEDLE_NUM_THREADS`` in the environment
    choose what a process starts with.
    """
    print(f"needle {_core.__version__}, NumPy {np.__version__}")
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"instruction set {_core.get_isa()}, threads {get_num_threads()}")
