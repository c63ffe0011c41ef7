# SPDX-License-Identifier: BSD-3-Clause
"""What numba makes of a plain Python function: machine code that takes no GIL. Imports numba, so it is imported when needed.

Fields and headers (`dataplane.columns.headers`) are constants in such a function: where a field lies is part of its type,
and `load` and `store` of it become one instruction or two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import cfunc, njit, types
from numba.core.imputils import lower_constant
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import (
    intrinsic,
    lower_getattr_generic,
    models,
    overload,
    register_model,
    typeof_impl,
)

from dataplane.access import exchange, load, store
from dataplane.columns.field import Field
from dataplane.columns.headers import Header

__all__ = ["Compiled", "of_burst", "of_packets"]

_BYTES = types.CPointer(types.uint8)
_MBUF = types.CPointer(types.uint64)  # as 16 words; those that are read here: dataplane.h
_BUF_ADDR, _DATA_OFF, _DATA_LEN = 0, 2, 5
_WIDEST = 8


# ---- fields as types ------------------------------------------------------------------------------------------


class _FieldType(types.Opaque):
    def __init__(self, field: Field) -> None:
        self.field = field
        super().__init__(f"Field({field.name}, {field.offset}, {field.width}, {field.shift}, {field.mask})")


class _HeaderType(types.Opaque):
    def __init__(self, header: Header) -> None:
        self.header = header
        super().__init__(f"Header({header.__name__})")


@typeof_impl.register(Field)
def _type_of_field(field: Field, context: object) -> _FieldType:
    return _FieldType(field)


@typeof_impl.register(Header)
def _type_of_header(header: Header, context: object) -> _HeaderType:
    return _HeaderType(header)


@infer_getattr
class _Fields(AttributeTemplate):
    key = _HeaderType

    def generic_resolve(self, header: _HeaderType, name: str) -> _FieldType | None:
        field = getattr(header.header, name, None)
        return _FieldType(field) if isinstance(field, Field) else None


@lower_getattr_generic(_HeaderType)
def _field_of(context: Any, builder: Any, kind: Any, value: Any, name: Any) -> Any:
    return context.get_dummy_value()


for _kind in (_FieldType, _HeaderType):
    register_model(_kind)(models.OpaqueModel)

    @lower_constant(_kind)
    def _nothing(context: Any, builder: Any, kind: Any, value: Any) -> Any:
        return context.get_dummy_value()


# ---- memory ---------------------------------------------------------------------------------------------------


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    """An address as a pointer to bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.PointerType(ir.IntType(8)))

    return _BYTES(types.uint64), generate


def _place(builder: Any, pointer: Any, at: Any, bits: int) -> Any:
    moved = builder.gep(pointer, [at], source_etype=ir.IntType(8))
    return builder.bitcast(moved, ir.PointerType(ir.IntType(bits)))


def _turned(builder: Any, word: Any, bits: int) -> Any:
    return builder.bswap(word) if bits > 8 else word


def _loader(bits: int) -> Any:
    @intrinsic
    def big_endian(typing: Any, data: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            word = builder.load(_place(builder, arguments[0], arguments[1], bits), align=1)
            turned = _turned(builder, word, bits)
            return builder.zext(turned, ir.IntType(64)) if bits < 64 else turned

        return types.uint64(_BYTES, types.intp), generate

    return big_endian


def _storer(bits: int) -> Any:
    @intrinsic
    def big_endian(typing: Any, data: Any, at: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data, at, value = arguments
            word = builder.trunc(value, ir.IntType(bits)) if bits < 64 else value
            builder.store(_turned(builder, word, bits), _place(builder, data, at, bits), align=1)
            return context.get_dummy_value()

        return types.none(_BYTES, types.intp, types.uint64), generate

    return big_endian


_LOAD = {width: _loader(8 * width) for width in (1, 2, 4, 8)}
_STORE = {width: _storer(8 * width) for width in (1, 2, 4, 8)}


def _pieces(field: Field, widest: int = _WIDEST) -> list[tuple[int, int, int]]:
    """(offset, width, bits behind it) of the words that make up a field."""
    found, at, left = [], field.offset, field.width
    while left:
        width = max(each for each in _LOAD if each <= min(left, widest))
        left -= width
        found.append((at, width, 8 * left))
        at += width
    return found


def _loading(pieces: list[tuple[int, int, int]]) -> Callable[[Any], Any]:
    """njit functions nest: the first word, and the rest behind it."""
    (at, width, behind), rest = pieces[0], pieces[1:]
    word, up = _LOAD[width], types.uint64(behind)
    if not rest:
        return njit(lambda data: word(data, at))
    others = _loading(rest)
    return njit(lambda data: word(data, at) << up | others(data))


def _storing(pieces: list[tuple[int, int, int]]) -> Callable[[Any, Any], Any]:
    (at, width, behind), rest = pieces[0], pieces[1:]
    word, down = _STORE[width], types.uint64(behind)
    if not rest:
        return njit(lambda data, value: word(data, at, value))
    others = _storing(rest)

    @njit
    def both(data: Any, value: Any) -> None:
        word(data, at, value >> down)
        others(data, value)

    return both


@overload(load, strict=False)
def _load(data: Any, field: Any) -> Any:
    if not isinstance(field, _FieldType) or field.field.width > _WIDEST:
        return None
    where = field.field
    word, shift, mask = _loading(_pieces(where)), types.uint64(where.shift), types.uint64(where.mask)
    return lambda data, field: word(data) >> shift & mask


@overload(store, strict=False, prefer_literal=True)
def _store(data: Any, field: Any, value: Any) -> Any:
    if not isinstance(field, _FieldType) or field.field.width > _WIDEST:
        return None
    where = field.field
    # Constants of six bytes go by two: the compiler joins what is of one size, with neighbouring fields too.
    widest = 2 if isinstance(value, types.Literal) and where.width == 6 else _WIDEST
    put, get = _storing(_pieces(where, widest)), _loading(_pieces(where))
    shift, mask = types.uint64(where.shift), types.uint64(where.mask)
    rest = types.uint64(((1 << 8 * where.width) - 1) & ~(where.mask << where.shift))
    if not rest:
        return lambda data, field, value: put(data, types.uint64(value))
    return lambda data, field, value: put(data, get(data) & rest | (types.uint64(value) & mask) << shift)


def _swapper(width: int) -> Any:
    """Two neighbours of `width` bytes change places: one shuffle of a vector of bytes.

    Its size is a power of two: what is behind them is written as it was. Every mbuf has bytes to spare for that (`Mempool`).
    """
    size = 1 << (2 * width - 1).bit_length()

    @intrinsic
    def swap(typing: Any, data: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(ir.IntType(8), size)
            order = [*range(width, 2 * width), *range(width), *range(2 * width, size)]
            place = builder.gep(arguments[0], [arguments[1]], source_etype=ir.IntType(8))
            place = builder.bitcast(place, ir.PointerType(vector))
            both = builder.load(place, align=1)
            mask = ir.Constant(ir.VectorType(ir.IntType(32), size), order)
            builder.store(
                builder.shuffle_vector(both, ir.Constant(vector, ir.Undefined), mask), place, align=1
            )
            return context.get_dummy_value()

        return types.none(_BYTES, types.intp), generate

    return swap


@overload(exchange, strict=False)
def _exchange(data: Any, one: Any, other: Any) -> Any:
    if not isinstance(one, _FieldType) or not isinstance(other, _FieldType):
        return None
    a, b = sorted((one.field, other.field), key=lambda field: field.offset)
    if a.mask != b.mask or a.width > _WIDEST:
        return None
    if a.offset + a.width == b.offset and a.mask.bit_length() == 8 * a.width == 8 * b.width:
        swap, at = _swapper(a.width), a.offset
        return lambda data, one, other: swap(data, at)

    def both(data: Any, one: Any, other: Any) -> None:
        kept = load(data, one)
        store(data, one, load(data, other))
        store(data, other, kept)

    return both


# ---- functions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compiled:
    """A function as numba itself calls it, without the wrapper that swallows exceptions; kept: what holds its code alive.

    ``int32_t f(result *, void **, arguments...)``; it returns 0, or something else when the function raised.
    """

    address: int
    kept: Any


def of_packets(function: Callable[[Any, int], int]) -> Compiled:
    """A loop with function(data, length) inlined in it: (mbuf **pkts, uint8_t *fate, uint32_t n), the result a uint32_t.

    That is 0 if all packets leave by the edge that fate[0] says; or 1, and fate has the edge of each, 255 for all above.
    """
    each = njit(function)

    @njit
    def edge_of(m: Any) -> Any:
        start = m[_BUF_ADDR] + (m[_DATA_OFF] & types.uint64(0xFFFF))
        edge = types.uint32(each(_pointer(start), types.uint32(m[_DATA_LEN] & types.uint64(0xFFFF))))
        return min(edge, types.uint32(255))

    signature = types.uint32(types.CPointer(_MBUF), _BYTES, types.uint32)

    @njit(signature)
    def loop(pkts: Any, fate: Any, n: Any) -> Any:
        usual, edge, alike = types.uint32(fate[0]), types.uint32(0), types.uint32(0)
        while alike < n:
            edge = edge_of(pkts[alike])
            if edge != usual:
                break
            alike += types.uint32(1)
        if alike == n:
            return types.uint32(0)
        for i in range(alike):
            fate[i] = usual
        fate[alike] = edge
        for i in range(alike + 1, n):
            fate[i] = edge_of(pkts[i])
        return types.uint32(1)

    made = loop.overloads[signature.args]
    return Compiled(made.library.get_pointer_to_function(made.fndesc.llvm_func_name), loop)


def of_burst(function: Callable[[Any, Any, Any, int], None]) -> Any:
    """A cfunc ``void f(uint8_t **data, const uint32_t *length, uint8_t *edge, uint32_t n)``."""
    signature = types.void(types.CPointer(_BYTES), types.CPointer(types.uint32), _BYTES, types.uint32)
    return cfunc(signature)(function)
