# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of frame from every function to every other: PF, VFs, the wire, and VFs behind the wire (datasheet 7.10.3)."""

from __future__ import annotations

import pytest

from tests.pmd.ixgbe.sriov.town import SIDES, Member, Town, Wishes, mac, numbered, town
from tests.pmd.model.pool_rules import UNTAGGED

BROADCAST = b"\xff" * 6
GROUP_A, GROUP_B, GROUP_C = "01:00:5e:00:00:0a", "01:00:5e:00:10:0b", "33:33:00:00:20:0c"
STRANGER = mac("02:99:99:99:99:99")
VLANS = (UNTAGGED, 0, 5, 6, 9)


def various(vfs: int) -> dict[Member, Wishes]:
    """Functions that differ: VLANs, port VLANs, groups; the PF on the right is promiscuous and so sees what leaves."""
    wishes = {}
    for side in SIDES:
        for n in range(vfs):
            wishes[Member(side, n)] = Wishes(
                vlans=((5,) if n % 3 == 0 else ()) + ((6,) if n % 4 == 1 else ()),
                groups=((GROUP_A,) if n % 2 == 0 else ()) + ((GROUP_B,) if n % 5 == 1 else ()),
                all_groups=n % 7 == 3,
                port_vlan=9 if n % 6 == 4 else 0,
            )
    wishes[Member("left", vfs, True)] = Wishes(groups=(GROUP_B,))
    wishes[Member("right", vfs, True)] = Wishes(promiscuous=True)
    return wishes


def frames_of(place: Town, sender: Member) -> list[bytes]:
    """Frames to each member, in every VLAN; to strangers, broadcast, to groups; and with another's address as the source."""
    own = place.mac(sender)
    to = [place.mac(member) for member in place.ports]
    frames = [numbered(address, own, vlan) for address in to for vlan in VLANS]
    others = (BROADCAST, STRANGER, mac(GROUP_A), mac(GROUP_B), mac(GROUP_C))
    frames += [numbered(address, own, vlan) for address in others for vlan in VLANS]
    frames += [numbered(address, STRANGER) for address in (to[0], to[-1], BROADCAST)]
    frames += [numbered(address, own, size=1514) for address in (to[0], to[-1], BROADCAST)]
    return frames


@pytest.mark.parametrize("vfs", [1, 8, pytest.param(63, marks=pytest.mark.slow)])
def test_everybody_to_everybody(vfs: int) -> None:
    with town(vfs, various(vfs)) as place:
        copies = sum(place.check(sender, frames_of(place, sender)) for sender in place.ports)
        assert copies > 100 * vfs
