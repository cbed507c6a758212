"""Arrays small enough to stand in a page: differences, byte planes, deflate, base64.

Whole numbers are stored as differences, folded so that small ones of either sign are small
(zigzag), and like HDF5's shuffle filter byte by byte: all low bytes, then all high ones. A script
reads them back: script/unpack.js.
"""

import base64
import zlib
from typing import Any

import numpy as np

_TYPES = ("int8", "int16", "int32", "float32")


def deflated(values: np.ndarray) -> bytes:
    """`values` [N] compressed; ValueError for a type other than int8, int16, int32, float32."""
    if values.dtype.name not in _TYPES:
        raise ValueError(f"{values.dtype} cannot be packed; {', '.join(_TYPES)} can")
    values = np.ascontiguousarray(values)
    if values.dtype.kind == "i":
        bits = 8 * values.itemsize
        step = np.diff(values, prepend=values.dtype.type(0))
        values = (step << 1) ^ (step >> (bits - 1))
    planes = values.view(np.uint8).reshape(len(values), values.itemsize).T
    return zlib.compress(planes.tobytes(), 4)


def inflated(content: bytes, dtype: str) -> np.ndarray:
    """The values [N] back from `deflated`."""
    size = np.dtype(dtype).itemsize
    planes = np.frombuffer(zlib.decompress(content), np.uint8).reshape(size, -1)
    values = np.ascontiguousarray(planes.T).view(dtype).reshape(-1)
    if values.dtype.kind == "i":
        folded = values.view(f"u{size}")
        step = (folded >> 1).view(dtype) ^ -(folded & 1).view(dtype)
        return np.cumsum(step, dtype=dtype)
    return values


def packed(values: np.ndarray) -> dict[str, Any]:
    """`values` [N] as JSON holds them."""
    return {"type": values.dtype.name, "data": text(deflated(values))}


def text(content: bytes) -> str:
    """Base64, as the page unpacks it."""
    return base64.b64encode(content).decode("ascii")
