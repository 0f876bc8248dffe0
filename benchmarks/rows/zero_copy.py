"""Arrays that cross between needle and NumPy without a copy, timed beside a copy."""

from __future__ import annotations

import numpy as np

import needle as ndl

from ..figures import Figure
from ..peers import NEEDLE
from ..timing import Contestant, Plan, Repeated, compete

SIZE = 400_000_000
COPY = "NumPy's copy"


def zero_copy(plan: Plan, size: int = SIZE) -> list[Figure]:
    """t.numpy() and from_numpy(a) at 400 MB, beside a copy"""
    # Not zeros: untouched memory costs nothing until it is written.
    array = np.full(size // 4, 1.5, np.float32)
    tensor = ndl.from_numpy(array)
    out = tensor.numpy()
    if out.ctypes.data != array.ctypes.data:
        raise RuntimeError("zero-copy: numpy() of from_numpy() lies at another address")
    owned = ndl.Tensor(array, requires_grad=False)
    copy = Contestant(COPY, Repeated("a.copy()", {"a": array}))
    names = {"a": array, "t": owned, "from_numpy": ndl.from_numpy}
    title = f"{size / 1e6:.0f} MB"
    return [
        Figure(
            f"zero-copy/{key}",
            f"{code}, {title}",
            compete([Contestant(NEEDLE, Repeated(code, names)), copy], plan.at_most(5))[""],
        )
        for key, code in (("numpy", "t.numpy()"), ("from_numpy", "from_numpy(a)"))
    ]
