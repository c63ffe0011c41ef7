# SPDX-License-Identifier: BSD-3-Clause
"""A process in which DPDK's net_ixgbe and the model take turns on one thread. Started by `bench.peer.Peer`.

It reads a line of JSON for each call, a name and its arguments, and writes one with the result, or with "error".
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from bench.loops import solo
from dataplane.pmd.bus.model import ModelFunction, open_function
from dataplane.pmd.foreign.slot import Slots
from dataplane.pmd.portstring import PortString

QUEUE_PAGES = (
    0x1000,
    0x6000,
)  # Rx and Tx queues 0 to 63: while packets go round, only their tails are touched


class ModelUnderDpdk:
    """The model under DPDK, and what is asked of both."""

    def __init__(self, library: Path, cpu: int, full: bool) -> None:
        function = open_function(PortString.split_options("model0,wire=loop", "", "model0", ",wire=loop"))
        assert isinstance(function, ModelFunction)
        self.function, self.engine = function, function.chip.engine
        self.slots = Slots([function], trap=Path(os.environ["LD_PRELOAD"]))
        os.environ.update(self.slots.environment)
        self.trap = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self.peer = ctypes.CDLL(str(library))
        self.peer.peer_problem.restype = ctypes.c_char_p
        self.peer.peer_forward.restype = ctypes.c_int64
        for name in ("peer_mempool", "peer_mbufs", "peer_ring"):
            getattr(self.peer, name).restype = ctypes.c_double
        self.step = ctypes.c_void_p(solo.step_address()), ctypes.c_void_p(solo.engine_address(self.engine))
        words = ["peer", "-l", str(cpu), "--in-memory", "--no-telemetry", "-a", self.slots[0].address]
        self._check(self.peer.peer_init(len(words), (ctypes.c_char_p * len(words))(*map(os.fsencode, words))))
        self._check(self.peer.peer_open(0, 512, int(full)))

    def fill(self, n: int, frame: str) -> None:
        """n frames (hexadecimal) are under way from here on; the card stands still but for our steps."""
        data = bytes.fromhex(frame)
        self.function.card.stop()
        for page in QUEUE_PAGES:
            self.trap.dataplane_direct(page, 1)
        self._check(self.peer.peer_fill(0, n, data, len(data)))

    def forward(self, n: int, rounds: int, frame: str = "", head: int = 0) -> list[float]:
        """Cycles per packet: rx, tx, device. frame: sent with offloads, the first `head` bytes in an mbuf of their own."""
        cycles, data = (ctypes.c_uint64 * 3)(), bytes.fromhex(frame)
        packets = self._check(
            self.peer.peer_forward(0, *self.step, n, rounds, data or None, len(data), head, cycles)
        )
        if packets != n * rounds:
            raise RuntimeError(f"{packets} packets instead of {n * rounds} went round: some were lost")
        return [each / packets for each in cycles]

    def look(self, n: int) -> str:
        """The bytes of a packet that goes round, in hexadecimal."""
        data, size = ctypes.create_string_buffer(2048), ctypes.c_uint16()
        if self._check(self.peer.peer_look(0, *self.step, n, data, ctypes.byref(size))) != n:
            raise RuntimeError("packets were lost")
        return data.raw[: size.value].hex()

    def drain(self) -> int:
        """Take what is under way out, and let the card run by itself again. Returns how many packets it was."""
        taken = self.peer.peer_drain(0, *self.step)
        for page in QUEUE_PAGES:
            self.trap.dataplane_direct(page, 0)
        self.function.card.start()
        return int(taken)

    def mempool(self, n: int, rounds: int) -> float:
        return float(self.peer.peer_mempool(n, rounds))

    def mbufs(self, n: int, rounds: int) -> float:
        return float(self.peer.peer_mbufs(n, rounds))

    def ring(self, single: bool, n: int, rounds: int) -> float:
        return float(self._check(self.peer.peer_ring(int(single), n, rounds)))

    def _check(self, result: Any) -> Any:
        if result < 0:
            raise RuntimeError(f"DPDK: {self.peer.peer_problem().decode()}")
        return result


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # DPDK prints to both: keep standard output for the answers
    device = None
    for line in sys.stdin:
        name, *words = json.loads(line)
        try:
            if device is None:
                device, result = ModelUnderDpdk(*words), None
            else:
                result = getattr(device, name)(*words)
            answers.write(json.dumps({"result": result}) + "\n")
        except Exception as error:
            traceback.print_exc()
            answers.write(json.dumps({"error": str(error)}) + "\n")
    if device is not None:
        device.peer.peer_close(0)
        device.slots.close()
        device.function.close()
    os._exit(0)  # DPDK's threads end with the process


if __name__ == "__main__":
    main()
