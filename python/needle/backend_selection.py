"""The array backend, read from the environment variable ``NEEDLE_BACKEND``.

``np`` (the default) hands raw arrays to users as ``numpy.ndarray``. ``nd``, the course's own
NDArray on the same memory, is not there yet.
"""

import os
from typing import TYPE_CHECKING

import numpy as array_api

from needle import _names
from needle.device import Device, all_devices, cpu, cpu_numpy, cuda, default_device

__all__ = [
    "BACKEND",
    "Device",
    "NDArray",
    "all_devices",
    "array_api",
    "cpu",
    "cpu_numpy",
    "cuda",
    "default_device",
]

BACKEND = os.environ.get("NEEDLE_BACKEND", "np")
if BACKEND == "nd":
    raise NotImplementedError("NEEDLE_BACKEND=nd: the NDArray backend is not there yet; use np")
if BACKEND != "np":
    raise RuntimeError(f"NEEDLE_BACKEND: expected 'np' or 'nd', got {BACKEND!r}")

NDArray = array_api.ndarray

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
