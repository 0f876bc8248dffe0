"""The exceptions that each family may end in: the one place that says so.

Whatever is not named here is a failure: a panic of the core (PanicException), SystemError,
KeyError, anything that the interpreter makes up itself.
"""

from __future__ import annotations


class PlantedError(Exception):
    """What hostile objects and user ops raise themselves: it must come out as it is."""


class PlantedInterrupt(BaseException):
    """The same for what does not derive from Exception, as KeyboardInterrupt does not."""


# What the documentation promises for mistakes: ShapeError is a ValueError, DTypeError a TypeError,
# AxisError a ValueError and an IndexError, GradError a RuntimeError; `data` and tuples assert.
MISTAKES = (
    TypeError,
    ValueError,
    IndexError,
    OverflowError,
    MemoryError,
    RuntimeError,
    AssertionError,
)
PLANTED = (PlantedError, PlantedInterrupt)

# Any allocation may fail under the limit that a worker lives in.
ANYWHERE: tuple[type[BaseException], ...] = (MemoryError,)

ALLOWED: dict[str, tuple[type[BaseException], ...]] = {
    # Only what NumPy refuses too, and the family looks for that itself.
    "values": MISTAKES,
    # The programs are right.
    "programs": (),
    # AttributeError for names that are not there or not to be set, BufferError for DLPack's.
    "hostile": (*MISTAKES, *PLANTED, AttributeError, BufferError),
    "giants": MISTAKES,
    "reuse": (*MISTAKES, AttributeError),
    # Indices out of range, and shapes and data that another thread replaced.
    "threads": (*MISTAKES, *PLANTED),
    # OSError and KeyError: what files and state dicts answer to names that are not there.
    "state": (*MISTAKES, KeyError),
    # What an op returned may have any attribute, or none.
    "userops": (*MISTAKES, *PLANTED, AttributeError),
    "planted": (),
}
