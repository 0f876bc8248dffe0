"""The two file formats: named arrays, and texts beside them.

`.safetensors` is a JSON header and the bare elements, and has a place for texts. `.npz` is a zip
archive of NumPy's files; the texts are one more array in it, of bytes of JSON.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from needle.errors import FileFormatError
from needle.files import opened, written_whole
from needle.saving.npz import damage, read_npz

Arrays = Mapping[str, NDArray[Any]]
Texts = Mapping[str, str]

_F = TypeVar("_F")

# The name that both formats keep for the texts.
RESERVED = "__metadata__"

# The bytes of a name in a zip, less those of `.npy`.
_LONGEST_NAME = 2**16 - 1 - len(".npy")


def write_arrays(path: str | PathLike[str], arrays: Arrays, texts: Texts) -> None:
    """Write one file in the format of its suffix, whole or not at all; see `written_whole`.

    The arrays are C-contiguous and in the machine's byte order. A link stays a link.
    Raises ValueError for another suffix or a reserved name, OSError where it cannot be written.
    """
    write = _of_suffix(path, {".safetensors": _write_safetensors, ".npz": _write_npz})
    for name in arrays:
        if name == RESERVED:
            raise ValueError(f"{path}: the name {RESERVED} is reserved")
        # A zip would cut the name at the NUL, and has 16 bits for its length.
        if "\0" in name or len(name.encode()) > _LONGEST_NAME:
            raise ValueError(f"{path}: a shorter name, without NUL, expected, got {name[:20]!r}")
    with written_whole(path) as file:
        write(file, arrays, texts)


def read_arrays(path: str | PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays and texts of a file, in the format of its suffix.

    Raises FileFormatError if the file is damaged, incomplete or of another kind, ValueError for
    another suffix, OSError where it cannot be read.
    """
    read = _of_suffix(path, {".safetensors": _read_safetensors, ".npz": _read_npz})
    source = Path(path)
    with opened(source) as file:
        return read(source, file)


def _of_suffix(path: str | PathLike[str], functions: Mapping[str, _F]) -> _F:
    try:
        return functions[Path(path).suffix]
    except KeyError:
        expected = " or ".join(functions)
        raise ValueError(f"{path}: expected a name that ends in {expected}") from None


def _write_safetensors(file: BinaryIO, arrays: Arrays, texts: Texts) -> None:
    from safetensors.numpy import save

    file.write(save(dict(arrays), metadata=dict(texts) or None))


def _read_safetensors(path: Path, _: BinaryIO) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    arrays: dict[str, NDArray[Any]] = {}
    try:
        # Not mapped into memory: the process would be killed where somebody cuts the file off.
        with safe_open(path, framework="np", backend="pread") as file:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                arrays[name] = _tensor_of(path, file, name)
            return arrays, file.metadata() or {}
    except SafetensorError as error:
        raise FileFormatError(
            f"{path}: damaged: a complete .safetensors file was expected ({error})"
        ) from None


def _tensor_of(path: Path, file: Any, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = file.get_tensor(name)
    except (AttributeError, KeyError, TypeError, ValueError):
        # The header is sound by now. What is left are element types that NumPy does not have.
        dtype = file.get_slice(name).get_dtype()
        raise FileFormatError(f"{path}: {name}: NumPy has no dtype {dtype}") from None
    return array


def _write_npz(file: BinaryIO, arrays: Arrays, texts: Texts) -> None:
    # Not `numpy.savez`: its own parameters are names that no array could have.
    stored = dict(arrays)
    if texts:
        stored[RESERVED] = np.frombuffer(json.dumps(dict(texts)).encode(), dtype=np.uint8)
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in stored.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_npz(path: Path, file: BinaryIO) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    arrays = read_npz(path, file)
    texts = arrays.pop(RESERVED, None)
    if texts is None:
        return arrays, {}
    with damage(path):
        return arrays, _texts(texts)


def _texts(array: NDArray[Any]) -> dict[str, str]:
    texts = json.loads(array.tobytes())
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{RESERVED} holds no texts")
    return texts
