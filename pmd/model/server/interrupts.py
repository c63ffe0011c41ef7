# SPDX-License-Identifier: BSD-3-Clause
"""How the interrupts of a function reach its client: INTx, MSI and MSI-X, each vector an eventfd of the client's."""

from __future__ import annotations

import errno
import os

from dataplane.files.eventfd import is_eventfd, signal_eventfd
from dataplane.pmd.model.server.devices import Device
from dataplane.pmd.model.server.refusal import ClientRequestRefused
from dataplane.pmd.vfio_user.messages import IrqFlags, IrqInfo, IrqKind, IrqSet, SetIrqs

__all__ = ["IrqUnit"]


class IrqUnit:
    """The eventfds of one client."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._own: dict[tuple[int, int], int] = {}  # kind, vector -> descriptor

    def info(self, index: int) -> IrqInfo:
        """The interrupts of a kind; count 0 for kinds that the function does not have. Raises ClientRequestRefused."""
        if not 0 <= index <= max(IrqKind):
            raise ClientRequestRefused(errno.EINVAL, f"interrupts of kind {index}")
        count = self._device.irqs.get(index, 0)
        flags = IrqFlags.EVENTFD if count else IrqFlags(0)
        if count:
            flags |= IrqFlags.MASKABLE | IrqFlags.AUTOMASKED if index == IrqKind.INTX else IrqFlags.NO_RESIZE
        return IrqInfo(IrqInfo.struct_size(), flags, index, count)

    def set(self, request: SetIrqs, data: bytes, descriptors: list[int]) -> None:
        """SET_IRQS. Descriptors are used while this runs; the caller closes them. Raises ClientRequestRefused."""
        have = self._device.irqs.get(request.index, 0)
        kind, action = request.flags & IrqSet.DATA, request.flags & IrqSet.ACTION
        if request.start + request.count > have or request.flags & ~0x3F:
            raise ClientRequestRefused(
                errno.EINVAL,
                f"interrupts {request.start} and {request.count} more of {have}, {request.flags:#x}",
            )
        if kind not in (IrqSet.NONE, IrqSet.BOOL, IrqSet.EVENTFD):
            raise ClientRequestRefused(errno.EINVAL, f"SET_IRQS with data of kind {kind:#x}")
        if kind == IrqSet.BOOL and len(data) < request.count:
            raise ClientRequestRefused(errno.EINVAL, f"{len(data)} bytes for {request.count} interrupts")
        if action == IrqSet.TRIGGER:
            self._trigger(request, kind, data, descriptors)
        elif action in (IrqSet.MASK, IrqSet.UNMASK) and kind != IrqSet.EVENTFD:
            for vector in self._meant(request, kind, data):
                self._mask(request.index, vector, action == IrqSet.MASK)
        else:
            raise ClientRequestRefused(errno.EINVAL, f"SET_IRQS with flags {request.flags:#x}")

    def clear(self) -> None:
        """No more signals."""
        for index, vector in tuple(self._own):
            self._connect(index, vector, None)
        for vector in range(self._device.irqs[IrqKind.MSIX]):
            self._device.mask(vector, False)

    # ---- in detail --------------------------------------------------------------------------------------------

    def _trigger(self, request: SetIrqs, kind: int, data: bytes, descriptors: list[int]) -> None:
        if kind == IrqSet.EVENTFD:
            if descriptors and len(descriptors) != request.count:
                raise ClientRequestRefused(
                    errno.EINVAL, f"{len(descriptors)} descriptors for {request.count} interrupts"
                )
            for descriptor in descriptors:
                if not is_eventfd(descriptor):
                    raise ClientRequestRefused(
                        errno.EINVAL, "an interrupt is signalled by an eventfd, and this is none"
                    )
            for n in range(request.count):
                self._connect(request.index, request.start + n, descriptors[n] if descriptors else None)
        elif kind == IrqSet.NONE and not request.count:
            for index, vector in tuple(self._own):
                if index == request.index:
                    self._connect(index, vector, None)
        else:
            for vector in self._meant(request, kind, data):
                self._fire(request.index, vector)

    @staticmethod
    def _meant(request: SetIrqs, kind: int, data: bytes) -> list[int]:
        vectors = range(request.start, request.start + request.count)
        return [vector for n, vector in enumerate(vectors) if kind == IrqSet.NONE or data[n]]

    def _connect(self, index: int, vector: int, descriptor: int | None) -> None:
        """Raises OSError, and nothing changes, when no descriptor is left."""
        before = self._own.pop((index, vector), None)
        new = None
        try:
            if descriptor is not None:
                new = self._own[index, vector] = os.dup(descriptor)
            own = self._own.get((index, vector), -1)
            if vector == 0:  # of three kinds at most one is in use
                kinds = (self._own.get((each, 0)) for each in (IrqKind.MSIX, IrqKind.MSI, IrqKind.INTX))
                own = next((fd for fd in kinds if fd is not None), -1)
            self._device.connect(vector, own)
        except OSError:
            self._own.pop((index, vector), None)
            if new is not None:
                os.close(new)
            if before is not None:
                self._own[index, vector] = before
            raise
        if before is not None:
            os.close(before)

    def _mask(self, index: int, vector: int, on: bool) -> None:
        if index != IrqKind.INTX:
            self._device.mask(vector, on)
        elif not on and self._device.level():
            self._fire(index, vector)  # a line that is still asserted interrupts again

    def _fire(self, index: int, vector: int) -> None:
        signal_eventfd(self._own.get((index, vector), -1))
