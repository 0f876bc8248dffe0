"""Nested state as JSON, with the arrays taken out and put beside it under names.

What JSON has stands as it is: floats are written so that they come back exactly. Anything else is
an object with one key that begins with `$`:

    {"$tensor": name}  {"$array": name}  {"$scalar": name}    the array of that name
    {"$tuple": [...]}  {"$dict": [[key, value], ...]}         dicts with other keys than plain text
    {"$int": "..."}    {"$float": "nan"}                      beyond 64 bits; not finite
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from needle._core import Tensor
from needle.errors import FileFormatError
from needle.saving.tensors import as_array, as_tensor


def encode(value: Any, place: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """JSON for `value`; its arrays are added to `arrays`, under names that begin with `place`.

    Raises TypeError, with the place, for what is neither number, text, None, tensor or array, nor
    a list, tuple or dict of such.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Tensor | np.ndarray | np.generic):
        name = place
        while name in arrays:
            name += "#"
        arrays[name] = as_array(value, place)
        kind = "scalar" if isinstance(value, np.generic) else "array"
        return {"$tensor" if isinstance(value, Tensor) else f"${kind}": name}
    if isinstance(value, int):
        return int(value) if abs(value) < 2**63 else {"$int": str(int(value))}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, list | tuple):
        items = [encode(item, f"{place}.{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        pairs = [(key, encode(item, f"{place}.{key}", arrays)) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
            return dict(pairs)
        return {"$dict": [[encode(key, f"{place}.key", arrays), item] for key, item in pairs]}
    raise TypeError(f"{place}: expected tensors, numbers, texts, got {type(value).__name__}")


def decode(node: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """The value that `encode` made the JSON of. Raises FileFormatError for other JSON.

    The arrays in it are taken out of `arrays`: a text that names one a thousand times would make a
    thousand copies.
    """
    if isinstance(node, list):
        return [decode(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    if not any(key.startswith("$") for key in node):
        return {key: decode(item, arrays) for key, item in node.items()}
    try:
        ((kind, content),) = node.items()
        return _decode_special(kind, content, arrays)
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, FileFormatError):
            raise
        # It may be all of the file.
        raise FileFormatError(f"its state is not as needle writes it: {node!s:.80}") from None


def _decode_special(kind: str, content: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    match kind, content:
        case "$tensor", str():
            return as_tensor(arrays.pop(content), content)
        case "$array", str():
            return arrays.pop(content)
        case "$scalar", str() if arrays[content].ndim == 0:
            return arrays.pop(content)[()]
        case "$tuple", list():
            return tuple(decode(content, arrays))
        case "$dict", list():
            return {decode(key, arrays): decode(item, arrays) for key, item in content}
        case "$int", str():
            return int(content)
        case "$float", "nan" | "inf" | "-inf":
            return float(content)
    raise ValueError(kind)
