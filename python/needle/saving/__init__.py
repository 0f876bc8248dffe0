"""Files of tensors, and checkpoints to continue a training from.

Both are `.safetensors` or `.npz`, by the name of the file. Reading one never runs code from it, and
writing one replaces the file in one step: whatever happens, there is the old one or the new one.
"""

from typing import TYPE_CHECKING

from needle import _names
from needle.saving.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from needle.saving.tensors import load, save

__all__ = ["Checkpoint", "load", "load_checkpoint", "save", "save_checkpoint"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = _names.attributes(__name__, __all__)
