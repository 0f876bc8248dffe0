"""Devices. There is one so far: the CPU."""

from typing import Any

__all__ = ["CPUDevice", "Device", "all_devices", "cpu", "default_device"]


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


def cpu() -> CPUDevice:
    """The CPU."""
    return _CPU


def default_device() -> Device:
    """The device of tensors that name none: the CPU."""
    return _CPU


def all_devices() -> list[Device]:
    """Every device that needle knows."""
    return [_CPU]


_CPU = CPUDevice()
