"""Small complete programs on needle, importable: the course's exercises and a training loop."""

from typing import TYPE_CHECKING

from needle import _names

__all__ = ["mlp_resnet", "simple_ml", "training"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(
        __name__, __all__, {name: f"needle.apps.{name}" for name in __all__}
    )
