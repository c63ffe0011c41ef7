# SPDX-License-Identifier: BSD-3-Clause
"""The words in which the datasheet is written down: a register is one line.

    RXDCTL = Register("RXDCTL", 0x01028, "8.2.3.8.6", count=128, step=0x40, banks={64: 0x0D028},
                      ENABLE=bit[25], SWFLSH=bit[26], VME=bit[30])

Name, offset, section, how many there are and how far apart, and the fields by their bits, as the book prints
them: ``bits[13:8]`` follows the access kind of its register, ``RO[3]`` or ``SC[26]`` has one of its own. From
then on::

    RXDCTL[3]                      the register of queue 3
    RXDCTL[3].offset               0x010E8
    RXDCTL[3].ENABLE.mask          0x02000000
    RXDCTL[3].pack(ENABLE=1)       0x02000000
    RXDCTL[3].describe(1 << 25)    'RXDCTL[3] = 0x02000000 (ENABLE)'

A register that exists once needs no index: ``CTRL.RST``. An index past the end raises ``IndexError``, a field that the
register does not have ``AttributeError``, and a value too wide ``ValueError``; each message names the allowed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

WORD = 0xFFFF_FFFF


class Access(Enum):
    """The effect of a read and of a write on a bit. ``KIND[hi:lo]`` or ``KIND[n]`` makes a field of that kind."""

    RW = "read, write"
    RO = "read only"
    WO = "write only, reads 0"
    RC = "a read clears"
    RS = "a read sets, a write of 0 clears"
    W1C = "a write of 1 clears"
    W1S = "a write of 1 sets"
    SC = "write 1, hardware clears"

    def __getitem__(self, at: int | slice) -> BitField:
        return _field(at, self)


RW, RO, WO, RC, RS, W1C, W1S, SC = Access


@dataclass(frozen=True, slots=True)
class BitField:
    """Bits ``hi`` down to ``lo``, both inside. ``access`` is None where the register's own kind holds."""

    hi: int
    lo: int
    access: Access | None = None

    @property
    def mask(self) -> int:
        """Its bits within the register."""
        return (2 << self.hi) - (1 << self.lo)


class _Bits:
    """``bit[25]``, ``bits[4:0]``: a field with the access kind of its register."""

    def __getitem__(self, at: int | slice) -> BitField:
        return _field(at, None)


def _field(at: int | slice, access: Access | None) -> BitField:
    hi, lo = (at.start, at.stop) if isinstance(at, slice) else (at, at)
    if not 31 >= hi >= lo >= 0:
        raise ValueError(f"no such bits in a 32-bit register: [{hi}:{lo}]; write the high bit first")
    return BitField(hi, lo, access)


bit = bits = _Bits()


@dataclass(frozen=True, slots=True)
class Alias:
    """A second address of the first ``count`` registers: the 82598's, which drivers still use."""

    offset: int
    count: int = 1
    step: int = 4


class FieldRef:
    """A field of one register: it knows its mask and whose it is, so it cannot be put into another's word."""

    __slots__ = ("access", "mask", "name", "register", "shift", "width")

    def __init__(self, register: RegisterRef, name: str, field: BitField) -> None:
        self.register, self.name = register, name
        self.mask, self.shift, self.width = field.mask, field.lo, field.hi - field.lo + 1
        self.access = field.access or register.access

    def extract(self, word: int) -> int:
        """This field's value in a register's word."""
        return (word & self.mask) >> self.shift

    def insert(self, word: int, value: int) -> int:
        """The word with this field replaced. ValueError if the value does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(
                f"{self} is {self.width} bit{'s' * (self.width > 1)} wide: {value:#x} does not fit "
                f"(datasheet {self.register.section})"
            )
        return word & ~self.mask | value << self.shift

    def __str__(self) -> str:
        return f"{self.register.name}.{self.name}"

    __repr__ = __str__


class RegisterRef:
    """One 32-bit register at one address: ``SRRCTL[3]``, or ``CTRL``. Its fields are its attributes."""

    __slots__ = (
        "__dict__",
        "_line",
        "index",
        "name",
        "offset",
    )  # the dictionary keeps fields that were asked for

    name: str
    offset: int
    index: int

    def __init__(self, line: Register, name: str, offset: int, index: int) -> None:
        self._line, self.name, self.offset, self.index = line, name, offset, index

    @property
    def register(self) -> Register:
        """The line of the datasheet that describes this register."""
        return self._line

    @property
    def section(self) -> str:
        """The section of the datasheet."""
        return self._line.section

    @property
    def access(self) -> Access:
        """How it is read and written."""
        return self._line.access

    @property
    def fields(self) -> Mapping[str, BitField]:
        """Its fields, by name."""
        return self._line.fields

    @property
    def reset(self) -> int:
        """The value after power-up and CTRL.RST."""
        reset = self._line.resets
        return reset if isinstance(reset, int) else reset.get(self.index, 0)

    def __getattr__(self, name: str) -> FieldRef:
        if not name[0].isupper():
            raise AttributeError(name)  # not a field: let copy, hasattr and the like have their plain answer
        field = self.fields.get(name)
        if field is None:
            raise AttributeError(
                f"{self.name} has no field {name}: it has {', '.join(self.fields) or 'none'} "
                f"(datasheet {self.section})"
            )
        found = self.__dict__[name] = FieldRef(self, name, field)  # next time without a call
        return found

    def pack(self, **values: int) -> int:
        """A word from field values; what is not named is 0."""
        return self.update(0, **values)

    def update(self, word: int, **values: int) -> int:
        """``word`` with the named fields replaced."""
        for name, value in values.items():
            word = getattr(self, name).insert(word, value)
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """Every field's value in a word, in the datasheet's order."""
        return {name: (word & field.mask) >> field.lo for name, field in self.fields.items()}

    def describe(self, word: int) -> str:
        """A word in the datasheet's terms: ``RXDCTL[3] = 0x02000000 (ENABLE)``. Fields at 0 are left out."""
        said = []
        for name, value in self.unpack(word).items():
            field = self.fields[name]
            if value:
                said.append(name if field.hi == field.lo else f"{name}={value if value < 10 else hex(value)}")
        if self.fields and word & ~self.defined:
            said.append(f"undefined {word & ~self.defined:#x}")
        return f"{self.name} = {word:#010x}" + (f" ({' '.join(said)})" if said else "")

    @property
    def defined(self) -> int:
        """The bits that belong to a field; all of them when the register is one value."""
        mask = 0
        for field in self.fields.values():
            mask |= field.mask
        return mask or WORD

    def bits(self, *kinds: Access) -> int:
        """The bits with one of these access kinds. Bits that no field covers have the register's own."""
        mask, own = 0, WORD
        for field in self.fields.values():
            own &= ~field.mask
            if (field.access or self.access) in kinds:
                mask |= field.mask
        return mask | own if self.access in kinds else mask

    def __repr__(self) -> str:
        return f"<{self.name} at {self.offset:#07x}, {self.access.name}, datasheet {self.section}>"


class Register(RegisterRef):
    """A line of the datasheet: one register, or an array of ``count``.

    ``step`` is the distance of neighbours in bytes; ``banks`` says from which index on the array goes on
    elsewhere (``{64: 0x0D000}``); ``alias`` names further addresses of the same registers; ``row`` folds the
    array in two, so that ``PFMBMEM[vf, word]`` is ``PFMBMEM[vf * row + word]``. ``reset`` is a value for all
    or ``{index: value}``. ``like`` takes access, reset value and fields from another line.
    """

    def __init__(
        self,
        name: str,
        offset: int,
        section: str,
        access: Access | None = None,
        *,
        count: int = 1,
        step: int = 4,
        reset: int | Mapping[int, int] | None = None,
        banks: Mapping[int, int] | None = None,
        alias: Alias | Iterable[Alias] = (),
        row: int = 0,
        like: Register | None = None,
        **fields: BitField,
    ) -> None:
        self._line, self.name, self.index = self, name, 0
        self._section, self._fields = section, dict(like.fields) | fields if like else fields
        self._access = access or (like.access if like else RW)
        self.base, self.count, self.step, self.row = offset, count, step, row
        self.resets: int | Mapping[int, int] = reset if reset is not None else like.resets if like else 0
        self.banks = dict(sorted((banks or {}).items()))
        self.aliases = (alias,) if isinstance(alias, Alias) else tuple(alias)
        self._refs: dict[int, RegisterRef] = {}
        if count == 1:
            self.offset = offset  # an array has no address of its own: see __getattr__

    @property
    def section(self) -> str:
        """The section of the datasheet."""
        return self._section

    @property
    def access(self) -> Access:
        """How it is read and written."""
        return self._access

    @property
    def fields(self) -> Mapping[str, BitField]:
        """Its fields, by name."""
        return self._fields

    def __getattr__(self, name: str) -> FieldRef:
        if name == "offset":
            raise AttributeError(
                f"there are {self.count} {self.name}: say which, {self.name}[n] (datasheet {self.section})"
            )
        return super().__getattr__(name)

    def __getitem__(self, index: int | tuple[int, int]) -> RegisterRef:
        n = index[0] * self.row + index[1] if isinstance(index, tuple) else index
        if not 0 <= n < self.count or (isinstance(index, tuple) and not 0 <= index[1] < self.row):
            raise IndexError(
                f"{self.name}[{index}] does not exist: there are {self.count}, numbered from 0 "
                f"(datasheet {self.section})"
            )
        if self.count == 1:
            return self
        ref = self._refs.get(n)
        if ref is None:
            label = f"{n // self.row},{n % self.row}" if self.row else n
            ref = self._refs[n] = RegisterRef(self, f"{self.name}[{label}]", self.address(n), n)
        return ref

    def __repr__(self) -> str:
        if self.count == 1:
            return super().__repr__()
        last, access = self.count - 1, self.access.name
        return f"<{self.name}[0..{last}] from {self.base:#07x}, {access}, datasheet {self.section}>"

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[RegisterRef]:
        return (self[n] for n in range(self.count))

    def address(self, index: int) -> int:
        """Where register ``index`` lives, banks followed; its canonical address when it has aliases."""
        first, base = 0, self.base
        for start, offset in self.banks.items():
            if index >= start:
                first, base = start, offset
        return base + self.step * (index - first)

    def addresses(self) -> Iterator[tuple[int, int]]:
        """Every (offset, index) at which the array answers, aliases last."""
        for n in range(self.count):
            yield self.address(n), n
        for alias in self.aliases:
            for n in range(alias.count):
                yield alias.offset + alias.step * n, n


class AddressMap:
    """Which register answers at an offset of a BAR: one dictionary, built when first asked."""

    def __init__(self, registers: Iterable[Register]) -> None:
        self.registers = tuple(sorted(registers, key=lambda register: register.base))

    @cached_property
    def table(self) -> Mapping[int, RegisterRef]:
        """Offset to register, aliases included."""
        return {offset: register[n] for register in self.registers for offset, n in register.addresses()}

    def decode(self, offset: int) -> RegisterRef | None:
        """The register at an offset, by its canonical name whichever address was used; or None."""
        return self.table.get(offset)
