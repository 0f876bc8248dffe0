"""Faults made on purpose, one for each way to fail: the tests see whether the fuzz finds them."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import needle as ndl
from tools.fuzz.case import Case

_kept: list[Any] = []


class PanicException(BaseException):
    """Named like the core's."""


def run(case: Case) -> None:
    """Case 0 is right; each of the next ones is wrong in its own way."""
    FAULTS[case.index % len(FAULTS)](case)


def _right(case: Case) -> None:
    case.attempt("1 + 1", lambda: ndl.Tensor([1.0]) + 1)


def _signal(case: Case) -> None:
    case.note("reads address 0")
    ctypes.string_at(0)


def _panic(case: Case) -> None:
    case.note("panics")
    raise PanicException("planted")


def _exception(case: Case) -> None:
    case.note("SystemError")
    raise SystemError("planted")


def _wrong(case: Case) -> None:
    case.note("1 + 1 is 3")
    case.check_close((ndl.Tensor([1.0]) + 1).numpy(), [3.0], 1e-12, "1 + 1")


def _tensors(case: Case) -> None:
    case.note("keeps a tensor")
    _kept.append(ndl.Tensor([1.0]))


def _memory(case: Case) -> None:
    case.note("keeps 1000 bytes of malloc")
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    malloc(1000)


def _hang(case: Case) -> None:
    case.note("sleeps")
    time.sleep(1000)


FAULTS = (_right, _signal, _panic, _exception, _wrong, _tensors, _memory, _hang)
