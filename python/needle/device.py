"""Devices. One can be used so far: the CPU."""

from typing import Any

__all__ = [
    "CPUDevice",
    "CUDADevice",
    "Device",
    "all_devices",
    "cpu",
    "cpu_numpy",
    "cuda",
    "default_device",
]


class Device:
    """Where a tensor's memory lies and its operations run; equal by name."""

    name: str

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Device):
            return NotImplemented
        return self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"{self.name}()"

    def enabled(self) -> bool:
        """Whether the device can be used in this build."""
        return True


class CPUDevice(Device):
    """The processor's own memory and cores."""

    name = "cpu"


class CUDADevice(Device):
    """A graphics processor. No build of needle can use one: to place a tensor there is an error."""

    name = "cuda"

    def enabled(self) -> bool:
        """False."""
        return False


def cpu() -> CPUDevice:
    """The CPU."""
    return _CPU


def cpu_numpy() -> CPUDevice:
    """The CPU too: the course computes with NumPy there, needle with its own kernels."""
    return _CPU


def cuda() -> CUDADevice:
    """A graphics processor, which is not enabled: for programs that ask before they use one."""
    return _CUDA


def default_device() -> Device:
    """The device of tensors that name none: the CPU."""
    return _CPU


def all_devices() -> list[Device]:
    """Every device that can be used."""
    return [_CPU]


_CPU = CPUDevice()
_CUDA = CUDADevice()
