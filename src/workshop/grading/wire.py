"""Plain data over a pipe: length-prefixed JSON with exact types, a size cap and a depth cap; never pickle.

A value crosses if it is built of None, bool, int, float, complex, str, bytes, list, tuple, dict, and of arrays,
scalars, tensors and tables (NumPy, PyTorch, TensorFlow, pandas) of numbers. What arrives is always an exact built-in
type or an array made here, so an object that equals everything cannot arrive: it has no encoding. A tensor arrives at
the judge as an array, so that marks do not depend on which frameworks a judge has loaded. Towards the sandbox a
`numpy.random.Generator` crosses too, as its state; the call draws from a copy, the caller's does not advance.

The worker runs this file as it stands, without the package around it: it imports the standard library alone, and NumPy
and the frameworks where a value needs them.
"""

from __future__ import annotations

import base64
import importlib
import json
import math
import struct
import sys
from collections.abc import Callable
from typing import Any

FRAME = 16 * 2**20
"""Largest message in bytes: a 1000 x 1000 float64 array takes 11 MB of it."""

DEPTH = 32
INT_BITS = 4096
PAIRS = 1000
"""Most entries of a dict: keys made to collide take time that grows with their number's square."""
DTYPES = frozenset(
    f"{order}{kind}" for order in "<|" for kind in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
) | {"<f2", "<f4", "<f8", "<c8", "<c16"}


class WireError(ValueError):
    """A value that may not cross, or a message that is none."""


class Name:
    """A student's function as a check sees it: called, it asks the sandbox; as an argument it crosses as its name."""

    def __init__(self, name: str, ask: Callable[..., Any]) -> None:
        """Stand for `name`; ask: called with the name, the arguments and the keywords."""
        self.__name__, self._ask = name, ask

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Return what the student's function returns."""
        return self._ask(self.__name__, arguments, keywords)


def encode(value: Any, depth: int = DEPTH, *, outward: bool = False) -> Any:
    """Return `value` as data for JSON. outward: towards the sandbox, where generators and names may go too."""
    if depth < 0:
        raise WireError(f"is nested more than {DEPTH} deep")
    kind = type(value)
    if kind in (str, bytes) and len(value) > FRAME:
        raise WireError(f"holds a text of {len(value)} letters; {FRAME} may cross")
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        if value.bit_length() > INT_BITS:
            raise WireError(f"holds an integer of more than {INT_BITS} bits")
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is complex:
        return {"complex": [encode(value.real), encode(value.imag)]}
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode()}
    if kind is list:
        return [encode(item, depth - 1, outward=outward) for item in value]
    if kind is tuple:
        return {"tuple": [encode(item, depth - 1, outward=outward) for item in value]}
    if kind is dict:
        if len(value) > PAIRS:
            raise WireError(f"holds a dict of {len(value)} entries; {PAIRS} may cross")
        pairs = value.items()
        return {"dict": [[encode(x, depth - 1, outward=outward) for x in pair] for pair in pairs]}
    if outward and kind is Name:
        return {"name": value.__name__}
    if (numpy := sys.modules.get("numpy")) is not None:
        if kind is numpy.str_ or kind is numpy.bytes_:
            return encode(value.item(), depth)
        masked = sys.modules.get("numpy.ma")  # loaded by whoever has made one; loading it here takes memory
        if masked is not None and kind is masked.MaskedArray and not masked.is_masked(value):
            return {"array": encode_array(value.data)}
        if kind is numpy.ndarray or kind is numpy.matrix or kind is numpy.memmap:
            return {"array": encode_array(numpy.asarray(value))}
        if isinstance(value, numpy.generic):
            return {"scalar": encode_array(numpy.asarray(value))}
        if outward and kind is numpy.random.Generator:
            return {"generator": encode(value.bit_generator.state, depth - 1)}
    if (torch := sys.modules.get("torch")) is not None and kind in (torch.Tensor, torch.nn.Parameter):
        try:
            array = value.detach().resolve_conj().resolve_neg().cpu().numpy()
        except (TypeError, RuntimeError) as error:
            raise WireError(f"is a tensor of {value.dtype}, which NumPy does not have") from error
        return {"torch": encode_array(array)}
    if (pandas := sys.modules.get("pandas")) is not None and kind in (pandas.DataFrame, pandas.Series):
        return {"array": encode_array(value.to_numpy())}
    if (tensorflow := sys.modules.get("tensorflow")) is not None and isinstance(
        value, (tensorflow.Tensor, tensorflow.Variable)
    ):
        return {"tensorflow": encode_array(value.numpy())}
    raise WireError(f"is or holds a {kind.__module__}.{kind.__qualname__}, which is not plain data")


def encode_array(array: Any) -> list:
    """Return an array of numbers as [dtype, shape, base64].

    What is longer than 64 bits (128 if complex) is rounded: no check asks for more.
    """
    if array.dtype.kind in "fc" and array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        array = array.astype("c16" if array.dtype.kind == "c" else "f8")
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        raise WireError(f"holds an array of {array.dtype}; only numbers of at most 64 bits cross")
    if array.nbytes > FRAME:
        raise WireError(f"holds an array of {array.nbytes} bytes; {FRAME} may cross")
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return [array.dtype.str, list(array.shape), base64.b64encode(array.tobytes()).decode()]


def decode(data: Any, depth: int = DEPTH, *, lookup: Callable[[str], Any] | None = None) -> Any:
    """Return the value that `data` stands for.

    lookup: returns the student's object of a name; only the worker has one, so a name or a generator that comes
    out of the sandbox is an error.
    """
    if depth < 0:
        raise WireError(f"is nested more than {DEPTH} deep")
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, list):
        return [decode(item, depth - 1, lookup=lookup) for item in data]
    if not isinstance(data, dict) or len(data) != 1:
        raise WireError("is no value")
    [(tag, body)] = data.items()
    try:
        if tag == "float":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[body]
        if tag == "complex":
            real, imag = (decode(part, 1) for part in body)
            return complex(real, imag)
        if tag == "bytes":
            return base64.b64decode(body, validate=True)
        if tag == "tuple":
            return tuple(decode(body, depth, lookup=lookup))
        if tag == "dict":
            if len(body) > PAIRS:
                raise WireError(f"holds a dict of {len(body)} entries; {PAIRS} may cross")
            return {decode(k, depth - 1, lookup=lookup): decode(v, depth - 1, lookup=lookup) for k, v in body}
        if tag == "array":
            return decode_array(body)
        if tag == "scalar":
            return decode_array(body)[()]
        if tag in {"torch", "tensorflow"}:
            if lookup is None:
                return decode_array(body)
            framework = importlib.import_module(tag)
            return (framework.from_numpy if tag == "torch" else framework.constant)(decode_array(body))
        if tag == "name" and lookup is not None:
            return lookup(body)
        if tag == "generator" and lookup is not None:
            import numpy

            state = decode(body)
            bits = getattr(numpy.random, state["bit_generator"])()
            bits.state = state
            return numpy.random.Generator(bits)
    except WireError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, MemoryError, ImportError) as error:
        raise WireError(f"is no {tag}") from error
    raise WireError("is no value")


def decode_array(body: Any) -> Any:
    """Return a fresh, writable array from [dtype, shape, base64]."""
    import numpy

    dtype, shape, text = body
    if dtype not in DTYPES or not all(type(n) is int and n >= 0 for n in shape):
        raise WireError("is no array")
    return numpy.frombuffer(base64.b64decode(text, validate=True), dtype).reshape(shape).copy()


def pack(message: Any, limit: int = FRAME) -> bytes:
    """Return one message as a frame: four bytes of length, then JSON."""
    body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    if len(body) > limit:
        raise WireError(f"takes {len(body)} bytes on the wire; {limit} may cross")
    return struct.pack(">I", len(body)) + body


def unpack(body: bytes) -> Any:
    """Return the message in the body of a frame."""

    def refuse(constant: str) -> None:
        raise WireError(f"holds {constant}")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError, MemoryError) as error:
        raise WireError("is no message") from error
