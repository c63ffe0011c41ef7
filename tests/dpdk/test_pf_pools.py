# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's VMDq on a strict card of the model: pools without VFs, and GCR_EXT.VT_MODE 0."""

from __future__ import annotations

import re

import pytest
from modelrig import frame

from dataplane.byhand import send


@pytest.mark.parametrize(("classes", "pools"), [(4, 32), (8, 16)])
def test_vmdq_and_dcb_choose_the_queue(rig, classes, pools):
    """By address and VLAN the pool, by priority the queue. testpmd gives VLAN n to pool n, and its own address to pool 0."""
    rig.plug_in("model0,manner=strict,wire=model2")
    near = rig.port("model2")
    testpmd = rig.testpmd(
        "--forward-mode=rxonly",
        "--rxd=64",
        "--txd=64",
        f"--nb-cores={classes}",
        cores=f"0@0,(1-{classes})@1",
        mbufs=24576,
        megabytes=128,
    )  # fmt: skip  testpmd wants a core for each class
    testpmd.ask("port stop all")
    testpmd.ask("port config all rxq 128")  # which DPDK's driver insists on
    said = testpmd.ask(f"port config 0 dcb vt on {classes} pfc off")
    assert "shouldn" not in said and "fail" not in said.lower(), said
    testpmd.ask("port start all")
    testpmd.ask("set verbose 1")
    testpmd.ask("start")
    stranger = 5  # of pool 5, and the address is pool 0's
    for vlan, priority in [(0, 0), (0, 1), (stranger, 1), (0, classes - 1), (stranger, 0), (0, 2)]:
        data = frame(1, 80, "02:82:59:90:00:00")
        tagged = data[:12] + b"\x81\x00" + (priority << 13 | vlan).to_bytes(2, "big") + data[12:]
        assert send(near.tx(0), [tagged], near.mempool, timeout=2.0) == 1
        if vlan == stranger:
            continue  # testpmd prints nothing for this one
        told = testpmd.until("ol_flags")  # the line behind it
        found = re.search(r"Receive queue=0x([0-9a-f]+)", told)
        assert found and int(found[1], 16) == priority
    function = rig.slots[0].function
    assert f"{pools} pools of {128 // pools} queues, 0 VFs" in function.card.picture()
    testpmd.quit()
