"""What crosses the pipe, what does not, and that nothing but plain data can come out of a message."""

import math
import random
import time

import numpy as np
import pytest
import torch

from workshop.grading import wire

VALUES = [
    None,
    True,
    -0.0,
    math.inf,
    5e-324,
    2**4000,
    1 + 2j,
    complex(math.inf, -0.0),
    "ü\n\0",
    b"\xff\0",
    [],
    (1, [2.5, (None,)]),
    {1: "a", (2, 3): [4.0], None: {}},
    np.float32(1.5),
    np.bool_(True),
    np.int64(-7),
]


def there_and_back(value, **options):
    return wire.decode(wire.unpack(wire.pack(wire.encode(value, **options))[4:]))


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    else:
        assert one == other
        assert repr(one) == repr(other)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_they_were(value):
    same(there_and_back(value), value)


def test_not_a_number_comes_back():
    assert math.isnan(there_and_back(math.nan))


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", ">i4", "f2", "f4", ">f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)])
def test_arrays_come_back_as_they_were_and_writable(dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    back = there_and_back(array[..., None][..., 0])
    assert back.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(back, array)
    assert back.shape == shape
    assert back.flags.writeable


def test_an_array_in_another_order_comes_back():
    array = np.arange(24.0).reshape(2, 3, 4).T[::-1, :, ::2]
    assert np.array_equal(there_and_back(array), array)


def test_tensors_arrive_as_arrays_and_go_in_as_tensors():
    """An answer must not depend on what this process has imported."""
    for value in (torch.arange(3.0), torch.nn.Parameter(torch.ones(2, 2)), torch.tensor(1 + 2j).conj()):
        back = there_and_back(value)
        assert type(back) is np.ndarray
        assert np.array_equal(back, value.detach().resolve_conj().numpy())
        inside = wire.decode(wire.encode(value), lookup={}.get)
        assert type(inside) is torch.Tensor
        assert not inside.requires_grad


def test_what_is_as_good_as_plain_crosses():
    pandas = pytest.importorskip("pandas")
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    for value in (np.ma.array(table), pandas.DataFrame(table), table.view(np.matrix), table.astype(np.longdouble)):
        same(there_and_back(value), table)
    same(there_and_back(np.longdouble(0.5)), np.float64(0.5))
    same(there_and_back(np.array(["tanh", "relu"])[1]), "relu")
    with pytest.raises(wire.WireError, match="MaskedArray"):
        wire.encode(np.ma.array(table, mask=table > 3))


def test_keys_made_to_collide_are_not_looked_at():
    pairs = [[(2**61 - 1) * number, 0] for number in range(1, 150_000)]
    start = time.process_time()
    with pytest.raises(wire.WireError, match="1000 may cross"):
        wire.decode({"dict": pairs})
    assert time.process_time() - start < 0.5
    with pytest.raises(wire.WireError, match="1000 may cross"):
        wire.encode(dict.fromkeys(range(1001)))


class Sly(float):
    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Sly(1),
        np.array([object()]),
        np.array(["text"]),
        np.zeros(2, "M8[s]"),
        np.zeros(2, [("a", "f8")]),
        {1, 2},
        range(3),
        lambda: 1,
        np.random.default_rng(0),
        torch.ones(2, dtype=torch.bfloat16),
        torch.nn.Linear(1, 1),
        2**5000,
        "x" * (wire.FRAME + 1),
        np.zeros(wire.FRAME + 1, "u1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_else_is_refused(value):
    with pytest.raises(wire.WireError):
        wire.encode([value])


def test_depth_is_limited_both_ways():
    value, data = [], []
    for _ in range(wire.DEPTH + 1):
        value, data = [value], [data]
    with pytest.raises(wire.WireError, match="deep"):
        wire.encode(value)
    with pytest.raises(wire.WireError, match="deep"):
        wire.decode(data)
    with pytest.raises(wire.WireError):
        wire.unpack(b"[" * 10**6)


def test_a_generator_crosses_outwards_only_and_stays_where_it_was():
    generator = np.random.default_rng(5)
    data = wire.unpack(wire.pack(wire.encode(generator, outward=True))[4:])
    there = wire.decode(data, lookup={}.get)
    assert there.normal() == np.random.default_rng(5).normal() == generator.normal()
    with pytest.raises(wire.WireError):
        wire.decode(data)


def test_a_name_crosses_outwards_only():
    data = wire.encode(wire.Name("f", lambda *_: None), outward=True)
    assert wire.decode(data, lookup={"f": len}.get) is len
    with pytest.raises(wire.WireError):
        wire.decode(data)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b"1" * 5000, b'"\\ud800'], ids=lambda body: repr(body[:9])
)
def test_a_broken_frame_is_no_message(body):
    with pytest.raises(wire.WireError):
        wire.unpack(body)


def test_any_message_gives_plain_data_or_an_error():
    """Ten thousand random messages of the wire's own words: none gives anything but exact types."""
    rng = random.Random(0)
    tags = ["float", "complex", "bytes", "tuple", "dict", "array", "scalar", "torch", "name", "generator", "x", ""]
    leaves = [None, True, 3, -1, 1.5, "", "nan", "<f8", "|O8", "AAAAAAAA8D8=", 10**30, [1], [], [[1, 2]], {}]

    def message(depth):
        kind = rng.random()
        if depth == 0 or kind < 0.3:
            return rng.choice(leaves)
        if kind < 0.6:
            return [message(depth - 1) for _ in range(rng.randrange(4))]
        return {rng.choice(tags): message(depth - 1) for _ in range(1 if kind < 0.9 else 2)}

    def plain(value):
        assert type(value) in (
            type(None),
            bool,
            int,
            float,
            complex,
            str,
            bytes,
            list,
            tuple,
            dict,
            np.ndarray,
        ) or (isinstance(value, np.number | np.bool_))
        for part in value if type(value) in (list, tuple) else [*value, *value.values()] if type(value) is dict else []:
            plain(part)

    decoded = 0
    for _ in range(10_000):
        try:
            value = wire.decode(message(4))
        except wire.WireError:
            continue
        plain(value)
        decoded += 1
    assert decoded > 1000
