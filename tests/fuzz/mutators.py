"""Seeded damage: what a number, a byte or a line of a valid file may have become."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence

import numpy as np

Mutator = Callable[[bytes, np.random.Generator], bytes]

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
TOKENS = (
    b"", b"0", b"-1", b"1e999", b"-1e999", b"nan", b"inf", b"1e-320", b"1_000", b"1.5", b"+3", b"0.1.2",
    b"9" * 19, b"9" * 400, b"9" * 5000, b"0x" + b"f" * 4000, b"x" * 200_000, "\u0663".encode(), "\u00b2".encode(),
    b"null", b"true", b"None", b'""', b'"', b"'", b"\\", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    "\u2028".encode(), b"\r", b"\n", b"\t", b" ", b",", b";", b":", b"{", b"}", b"[", b"]", b"#", b"..", b"/", b"%",
    b"../../etc/passwd", b"2020-99-99", b"!!python/object/apply:os.system [id]", b"*a", b"&a", b"<<: *a", b"- ",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 2**63, 10**30, 1e308, float("nan"), float("inf"), "", "x", "\x00", "\ud800", "9" * 5000,
    [], {}, [[]], {"": None}, ["x"], {"x": 1}, [1, [2, [3]]],
)  # fmt: skip
BRACKETS = ((b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"- ", b""), (b"a: {", b"}"))
_TOKEN = re.compile(rb"[^\s,;:\"'{}\[\]]+")
_DEPTH = 100_000


def _position(data: bytes, rng: np.random.Generator) -> int:
    """Any; half the time near one of the ends, where headers and tables stand."""
    if rng.random() < 0.5:
        offset = min(len(data) - 1, int(rng.exponential(200)))
        return offset if rng.random() < 0.6 else len(data) - 1 - offset
    return int(rng.integers(len(data)))


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[_position(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def set_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        changed[_position(data, rng)] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF, int(rng.integers(256))]))
    return bytes(changed)


def set_integer(data: bytes, rng: np.random.Generator) -> bytes:
    """An integer of 2, 4 or 8 bytes becomes one at the edge of its range."""
    size = int(rng.choice([2, 4, 4, 4, 8]))
    value = EDGES[int(rng.integers(len(EDGES)))] & (256**size - 1)
    start = max(0, _position(data, rng) - size)
    return data[:start] + value.to_bytes(size, ["big", "little"][int(rng.integers(2))]) + data[start + size :]


def cut_end(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def cut_out(data: bytes, rng: np.random.Generator) -> bytes:
    start = _position(data, rng)
    return data[:start] + data[start + int(rng.integers(1, 1 + min(4096, len(data)))) :]


def repeat_part(data: bytes, rng: np.random.Generator) -> bytes:
    start = _position(data, rng)
    part = data[start : start + int(rng.integers(1, 513))]
    return data[:start] + part * int(rng.integers(2, 9)) + data[start:]


def insert_noise(data: bytes, rng: np.random.Generator) -> bytes:
    start = _position(data, rng)
    return data[:start] + rng.bytes(int(rng.integers(1, 65))) + data[start:]


def zero_part(data: bytes, rng: np.random.Generator) -> bytes:
    start = _position(data, rng)
    stop = min(len(data), start + int(rng.integers(1, 2049)))
    return data[:start] + bytes(stop - start) + data[stop:]


def swap_parts(data: bytes, rng: np.random.Generator) -> bytes:
    first, second = sorted((_position(data, rng), _position(data, rng)))
    size = int(rng.integers(1, 65))
    if second < first + size:
        return data[::-1]
    return (
        data[:first]
        + data[second : second + size]
        + data[first + size : second]
        + data[first : first + size]
        + data[second + size :]
    )


BYTES: tuple[Mutator, ...] = (
    flip_bits, set_bytes, set_integer, set_integer, cut_end, cut_out, repeat_part, insert_noise, zero_part, swap_parts,
)  # fmt: skip


def replace_token(data: bytes, rng: np.random.Generator) -> bytes:
    found = list(_TOKEN.finditer(data))
    if not found:
        return data + TOKENS[int(rng.integers(len(TOKENS)))]
    match = found[int(rng.integers(len(found)))]
    return data[: match.start()] + TOKENS[int(rng.integers(len(TOKENS)))] + data[match.end() :]


def insert_token(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data) + 1))
    return data[:start] + TOKENS[int(rng.integers(len(TOKENS)))] + data[start:]


def change_lines(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    index, other = (int(rng.integers(len(lines))) for _ in range(2))
    kind = int(rng.integers(5))
    if kind == 0:
        del lines[index]
    elif kind == 1:
        lines.insert(other, lines[index])
    elif kind == 2:
        lines[index], lines[other] = lines[other], lines[index]
    elif kind == 3:
        lines[index] += lines[other]
    else:
        lines[index] = lines[index][::-1]
    return [b"\n", b"\r\n", b"\r"][int(rng.choice([0, 0, 0, 1, 2]))].join(lines)


def nest_deeply(data: bytes, rng: np.random.Generator) -> bytes:
    opening, closing = BRACKETS[int(rng.integers(len(BRACKETS)))]
    return opening * _DEPTH + data[:100] * int(rng.integers(2)) + closing * _DEPTH * int(rng.integers(2))


TEXT: tuple[Mutator, ...] = (
    replace_token, replace_token, replace_token, insert_token, change_lines, change_lines, nest_deeply,
    flip_bits, set_bytes, cut_end, cut_out, repeat_part, insert_noise,
)  # fmt: skip


def change_json(data: bytes, rng: np.random.Generator) -> bytes:
    """Still JSON, with a few values of other kinds."""
    tree = json.loads(data)
    for _ in range(int(rng.integers(1, 4))):
        tree = _with_other_value(tree, rng)
    return json.dumps(tree).encode()


def _with_other_value(tree: object, rng: np.random.Generator) -> object:
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    if not keys or rng.random() < 0.1:
        return copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
    key = keys[int(rng.integers(len(keys)))]
    if rng.random() < 0.1:
        del tree[key]
    elif isinstance(tree, dict) and rng.random() < 0.1:
        tree[str(VALUES[int(rng.integers(len(VALUES)))])] = tree.pop(key)
    else:
        tree[key] = _with_other_value(tree[key], rng)
    return tree


JSON: tuple[Mutator, ...] = (*(change_json,) * 6, *TEXT)


def mutate(data: bytes, mutators: Sequence[Mutator], seed: Sequence[int]) -> bytes:
    """``data`` with one to three of ``mutators`` applied; a function of ``seed`` alone."""
    rng = np.random.default_rng(seed)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        if not data:
            break
        mutator = mutators[int(rng.integers(len(mutators)))]
        try:
            data = mutator(data, rng)
        except (ValueError, RecursionError):  # no JSON any more
            data = set_bytes(data, rng)
    return data
