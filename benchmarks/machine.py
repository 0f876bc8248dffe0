"""What the figures were measured on, and whether anything else ran there meanwhile."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import needle

# Other processes may use this many CPUs, on average, before the machine counts as busy.
OTHERS_LIMIT = 0.15

_STAT = Path("/proc/stat")


def describe() -> dict[str, str | int | float]:
    """The machine and its system."""
    return {
        "cpu": _cpu_name(),
        "cpus": _cpus(),
        "memory_gb": round(_memory() / 1e9, 1),
        "system": platform.system(),
        "load_average": round(load_average(), 2),
    }


def versions() -> dict[str, str]:
    """Python, needle and the peers that are installed."""
    found = {"Python": platform.python_version(), "needle": needle.__version__}
    for name, package in (("NumPy", "numpy"), ("PyTorch", "torch"), ("JAX", "jax")):
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def load_average() -> float:
    """The load average of the last minute, 0 where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def extension() -> Path:
    """The file of needle's extension module."""
    spec = find_spec("needle._core")
    return Path((spec and spec.origin) or "")


def build_note() -> str | None:
    """A warning if the extension is not what `make build` leaves: that one is stripped."""
    # As in a table of section names: the bare words also stand in the code that prints traces.
    if b"\0.debug_info\0" not in extension().read_bytes():
        return None
    return "the extension has debug symbols: not the release build that `make build` makes"


class Watch:
    """How many CPUs other processes have used since it was made.

    The load average of the last minute would blame the build that came just before, and would
    count our own threads; so the CPU time of the machine is compared with our own and that of
    our children. Where the system does not tell, the load average at the start must do.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._machine = _machine_seconds()
        self._ours = _our_seconds()
        self._load = load_average()

    def others(self) -> float:
        """CPUs that others used, on average."""
        now = _machine_seconds()
        if now is None or self._machine is None:
            return max(0.0, self._load - 0.5 * _cpus())
        elapsed = max(time.perf_counter() - self._began, 1e-3)
        return max(0.0, (now - self._machine - (_our_seconds() - self._ours)) / elapsed)


def quiet(seconds: float = 0.5) -> float:
    """CPUs that others use at this moment."""
    watch = Watch()
    time.sleep(seconds)
    return watch.others()


def _machine_seconds() -> float | None:
    """CPU seconds of all processes since the system started, stolen ones included."""
    try:
        fields = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _our_seconds() -> float:
    return sum(os.times()[:4])


def _cpus() -> int:
    return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
