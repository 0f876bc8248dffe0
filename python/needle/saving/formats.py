"""The two file formats: named arrays, and texts beside them.

`.safetensors` is a JSON header and the bare elements, and has a place for texts. `.npz` is a zip
archive of NumPy's files; the texts are one more array in it, of bytes of JSON.
"""

from __future__ import annotations

import errno
import json
import zipfile
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from needle.errors import FileFormatError
from needle.files import written_whole

Arrays = Mapping[str, NDArray[Any]]
Texts = Mapping[str, str]

_F = TypeVar("_F")

# The name that both formats keep for the texts.
RESERVED = "__metadata__"

# The bytes of a name in a zip, less those of `.npy`.
_LONGEST_NAME = 2**16 - 1 - len(".npy")

# RuntimeError: a changed bit may mark a file of the zip as encrypted. RecursionError is one too,
# of texts that are nested too deep.
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError)


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
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {target.parent} does not exist")
    with written_whole(target) as file:
        write(file, arrays, texts)


def read_arrays(path: str | PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays and texts of a file, in the format of its suffix.

    Raises FileFormatError if the file is damaged, incomplete or of another kind, ValueError for
    another suffix, OSError where it cannot be read.
    """
    read = _of_suffix(path, {".safetensors": _read_safetensors, ".npz": _read_npz})
    source = Path(path)
    with source.open("rb"):  # an OSError that names the file, whatever the libraries say
        return read(source)


def _of_suffix(path: str | PathLike[str], functions: Mapping[str, _F]) -> _F:
    try:
        return functions[Path(path).suffix]
    except KeyError:
        expected = " or ".join(functions)
        raise ValueError(f"{path}: expected a name that ends in {expected}") from None


def _write_safetensors(file: BinaryIO, arrays: Arrays, texts: Texts) -> None:
    from safetensors.numpy import save

    file.write(save(dict(arrays), metadata=dict(texts) or None))


def _read_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    arrays: dict[str, NDArray[Any]] = {}
    try:
        with safe_open(path, framework="np") as file:
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


def _read_npz(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                name.removesuffix(".npy"): _member_of(archive, name) for name in archive.namelist()
            }
        texts = arrays.pop(RESERVED, None)
        return arrays, {} if texts is None else _texts(texts)
    except (OSError, EOFError, ValueError, NotImplementedError, *_BAD_ZIP) as error:
        # A place before the beginning of the file is the archive's mistake.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        reason = " ".join(str(error).split())
        raise FileFormatError(
            f"{path}: damaged: a complete .npz file was expected ({reason})"
        ) from None


def _texts(array: NDArray[Any]) -> dict[str, str]:
    texts = json.loads(array.tobytes())
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{RESERVED} holds no texts")
    return texts


def _member_of(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        # A file of the zip is checked against its checksum once it is read to its end.
        if member.read(1):
            raise ValueError(f"{name} is longer than its header says")
    return array
