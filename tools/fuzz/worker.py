"""A process that runs a slice of the cases of one family and prints what it found, as JSON."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import json
import os
import sys
import threading
import traceback
import warnings
from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import needle as ndl
from tools.fuzz.case import Case, Log
from tools.fuzz.families import FAMILIES, evil

# The first cases of a slice are run again so often, to see whether anything grows; where it seems
# so, more and more often, since what allocators keep for later grows too, up to an end.
REPEATED_CASES, REPEATS = 12, (5, 12, 40, 160)
# What counts as growth: blocks of Python's allocator in every repeat, of which it is exact; bytes
# of malloc's on average in each part of the repeats, since caches give and take a little.
LEAST_BLOCKS, LEAST_BYTES, PARTS = 1, 500, 3
# Each thread has caches of its own, and starts with new ones.
LEAST_BYTES_OF_THREADS = 20_000


@dataclass
class Settings:
    """What a worker is told."""

    family: str
    seed: int
    start: int
    stop: int
    log: Path
    memory: int
    """The most bytes of address space; 0 for no limit."""


def main(settings: Settings) -> None:
    """Runs the slice; a line of JSON for each failure, and one at the end for the counts."""
    faulthandler.enable()
    _limit_memory(settings.memory)
    sys.setswitchinterval(1e-4)
    # NaN and overflow are wanted, and once for all: each `np.errstate` holds on to some memory.
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    errors = _Errors()
    log = Log(settings.log)
    outcomes: Counter[str] = Counter()
    family = FAMILIES[settings.family]

    def run(index: int, repeated: bool = False) -> None:
        log.begin(index)
        case = Case(settings.family, settings.seed, index, log)
        before = ndl.autograd.TENSOR_COUNTER
        try:
            family(case)
            failure = None
        except BaseException as error:
            failure = _described(error)
        outcomes.update(case.outcomes)
        del case
        _settle()
        said = errors.new()
        if failure and said:
            failure = (failure[0], f"{failure[1]}\n{said}")  # where a panic was
        if failure is None and said:
            failure = ("panic" if "panicked" in said else "message", said)
        if failure is None and (more := ndl.autograd.TENSOR_COUNTER - before):
            failure = ("leak", f"{more} live tensors more after the case than before")
        if failure and not repeated:
            found = {"index": index, "kind": failure[0], "text": failure[1], "notes": log.notes()}
            print(json.dumps(found), flush=True)

    gc.collect()
    gc.freeze()  # what stands by now is not looked through again after every case
    for index in range(settings.start, settings.stop):
        run(index)
    few = range(settings.start, min(settings.stop, settings.start + REPEATED_CASES))
    often = list(few) * -(-REPEATED_CASES // max(1, len(few)))
    threaded = settings.family in ("threads", "userops")
    least = LEAST_BYTES_OF_THREADS if threaded else LEAST_BYTES
    held = array("q", _held())  # of a fixed size, which is no growth itself
    for repeats in REPEATS:
        for _ in range(repeats):
            for index in often:
                run(index, repeated=True)
            held.extend(_held())
        text = _growth(held[-2 * repeats :], least)
        if not text:
            break
    else:
        where = f"{few.start}:{few.stop}"
        found = {"index": few.start, "cases": where, "kind": "leak", "text": text, "notes": []}
        print(json.dumps(found), flush=True)
    print(json.dumps({"outcomes": outcomes}), flush=True)


def _described(error: BaseException) -> tuple[str, str]:
    name = type(error).__name__
    if name == "WrongError":
        return "wrong value", str(error)
    lines = traceback.format_exception(error)
    return ("panic" if name == "PanicException" else "exception"), "".join(lines[-8:])


def _settle() -> None:
    """What a case may have changed, as it was; and nothing of it alive."""
    ndl.autograd.LAZY_MODE = False
    ndl.set_num_threads(2)
    gc.collect()


def _held() -> tuple[int, int]:
    """Blocks that Python's own allocator has given out, and bytes that malloc has."""
    ndl.empty_cache()
    # The cache of attributes keeps one name in each of its 4096 places.
    sys._clear_type_cache()
    gc.collect()
    return sys.getallocatedblocks(), _malloc_bytes()


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]


def _mallinfo() -> Any:
    # glibc's own count, exact where the resident size is rounded to pages; elsewhere none.
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return None
    function.restype = _Mallinfo
    return function


_MALLINFO = _mallinfo()


def _malloc_bytes() -> int:
    if _MALLINFO is None:
        return 0
    found = _MALLINFO()
    # `hblkhd`, blocks of their own mapping, and `uordblks`, all others.
    return int(found.e + found.h)


def _growth(held: array[int], least: int) -> str:
    """What grew in the repeats; empty where nothing did."""
    blocks, bytes_ = ([b - a for a, b in pairwise(held[at::2])] for at in (0, 1))
    parts = [
        bytes_[i * len(bytes_) // PARTS : (i + 1) * len(bytes_) // PARTS] for i in range(PARTS)
    ]
    if min(blocks) >= LEAST_BLOCKS:
        return f"memory grew in each repeat of the same cases, by {blocks} blocks"
    if all(sum(part) >= least * len(part) for part in parts):
        return f"memory grew over repeats of the same cases, by {bytes_} bytes"
    return ""


def _limit_memory(limit: int) -> None:
    # Unix only, as is the need: what asks for too much shall have a MemoryError, not the machine.
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


class _Sequence:
    def __getitem__(self, at: int) -> int:
        raise IndexError(at)


_ITERATOR = type(iter(_Sequence()))


class _Errors:
    """What was said on stderr (the driver made a file of it), and what nobody could catch."""

    def __init__(self) -> None:
        self._read = os.fstat(2).st_size
        self._uncaught: list[str] = []
        sys.unraisablehook = lambda found: self._ignored(found.object, found.exc_value)
        threading.excepthook = lambda found: self._take(found.exc_value)

    def _ignored(self, where: Any, error: BaseException | None) -> None:
        # Destructors of hostile objects raise what they like. And PyO3 asks each iterator for its
        # length, as a hint, and prints what that raises.
        if getattr(where, "__module__", None) != evil.__name__ and type(where) is not _ITERATOR:
            self._take(error)

    def _take(self, error: BaseException | None) -> None:
        lines = traceback.format_exception(error) if error else ["nothing"]
        self._uncaught.append("".join(lines[-6:]))

    def new(self) -> str:
        """What has come since the last call."""
        said = "".join(self._uncaught)
        self._uncaught.clear()
        size = os.fstat(2).st_size
        if size > self._read:
            with contextlib.suppress(OSError), Path("/dev/fd/2").open("rb") as file:
                file.seek(self._read)
                said += file.read().decode(errors="replace")
            self._read = size
        return said[-2000:]


def from_json(text: str) -> Settings:
    """The settings as the driver sends them."""
    told: dict[str, Any] = json.loads(text)
    return Settings(**{**told, "log": Path(told["log"])})


if __name__ == "__main__":
    main(from_json(sys.argv[1]))
