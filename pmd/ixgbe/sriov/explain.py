# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane vf explain`: why a VF sends or receives nothing, as its PF sees it (datasheet 7.10.3).

Registers say how things stand, the service remembers what was refused, and `sampling` watches the VF for a moment.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataplane.limits import FRAME_STANDARD_WITH_FCS_BYTES, HEADER_AND_FCS_BYTES
from dataplane.pmd.datasheet import (
    HLREG0,
    MAXFRS,
    RDH,
    RDT,
    RXDCTL,
    TDH,
    TDT,
    TXDCTL,
    VFRE,
    VFTE,
    mailbox,
)
from dataplane.pmd.ixgbe.findings import NOTE, PROBLEM, VfFinding
from dataplane.pmd.ixgbe.messages import api_name, xcast_name
from dataplane.pmd.ixgbe.sriov.sampling import VfSample
from dataplane.pmd.ixgbe.sriov.service import Dialog
from dataplane.pmd.ixgbe.sriov.state import VfState
from dataplane.pmd.ixgbe.sriov.table import VfTable
from dataplane.port import format_mac

__all__ = ["explain"]


def explain(table: VfTable, number: int, dialog: Dialog, seen: VfSample | None = None) -> list[VfFinding]:
    """Everything that keeps VF `number` from sending or receiving, gravest first. Raises ConfigError for no such VF."""
    state = table.vf(number)
    seen = seen or VfSample()
    with table.lock:
        found = [*_agreement(table, state), *_link(table, state)]
        if state.active:
            found += [*_receives(table, state, seen), *_sends(table, state, seen), *_filters(table, state)]
        found += [*_refusals(state), *_mailbox(state, dialog)]
    return sorted(found, key=lambda finding: finding.kind != PROBLEM)


def _agreement(table: VfTable, state: VfState) -> Iterator[VfFinding]:
    if not table.up:
        yield VfFinding(PROBLEM, "both", "the PF is not up: its port is stopped", "start the PF's port")
    elif not state.active:
        again = f", after {state.resets} resets" if state.resets else ""
        yield VfFinding(
            PROBLEM,
            "both",
            f"no driver has begun on this VF (no RESET in its mailbox){again}",
            f"open {table.name}.vf{state.number}, or see whether its driver runs",
        )
    elif not state.clear_to_send:
        yield VfFinding(
            PROBLEM,
            "both",
            "its PF has asked it to reinitialise, and it has not done so yet",
            "see whether its driver still runs",
        )


def _link(table: VfTable, state: VfState) -> Iterator[VfFinding]:
    mine = f"dataplane vf set {table.name} {state.number}"
    if state.settings.state == "disable":
        yield VfFinding(
            PROBLEM, "both", "its link was switched off by the administrator", f"{mine} state auto"
        )
    if not table.speed:
        yield VfFinding(
            PROBLEM,
            "both",
            "the port has no link: nothing passes, not even between VFs",
            "see cable, module and the other end",
        )


def _receives(table: VfTable, state: VfState, seen: VfSample) -> Iterator[VfFinding]:
    bar, number = table.bar, state.number
    if state.too_large:
        largest = bar.get(MAXFRS.MFS)
        yield VfFinding(
            PROBLEM,
            "rx",
            f"it wants frames of {state.too_large} bytes, over the PF's maximum: the port takes {largest}",
            f"give the PF an MTU of {state.too_large - HEADER_AND_FCS_BYTES}, or the VF one of "
            f"{largest - HEADER_AND_FCS_BYTES}",
        )
    elif seen.oversize:
        largest = bar.get(MAXFRS.MFS) if bar.get(HLREG0.JUMBOEN) else FRAME_STANDARD_WITH_FCS_BYTES
        yield VfFinding(
            NOTE if seen.received else PROBLEM,
            "rx",
            f"frame over the PF's maximum: the port has dropped {seen.oversize} of more than {largest} bytes in "
            f"{seen.seconds:g} s, for any receiver",
            f"make the sender's MTU {largest - HEADER_AND_FCS_BYTES}, or the PF's larger",
        )
    elif not state.frame and table.frame > FRAME_STANDARD_WITH_FCS_BYTES:
        yield VfFinding(
            PROBLEM,
            "rx",
            f"the PF receives frames of {table.frame} bytes, and the VF has not requested that (SET_LPE)",
        )
    elif not bar.read(VFRE[number >> 5]) >> (number & 31) & 1 and table.up and table.link_enabled(state):
        yield VfFinding(PROBLEM, "rx", "its gate is closed (PFVFRE): it was reset and has not begun again")
    on = [queue for queue in table.layout.queues_of(number) if bar.get(RXDCTL[queue].ENABLE)]
    if not on:
        yield VfFinding(PROBLEM, "rx", "none of its Rx queues is on", "start its port with an Rx queue")
    empty = [queue for queue in on if bar.read(RDH[queue]) == bar.read(RDT[queue])]
    if empty or seen.no_buffers:
        which = ", ".join(str(queue - table.layout.queues_of(number).start) for queue in empty)
        text = f"no buffers: Rx queue {which} has no free descriptor" if which else "no buffers"
        if seen.no_buffers:
            text += f", {seen.no_buffers} frames were dropped for that in {seen.drop_seconds:g} s"
        yield VfFinding(
            PROBLEM if len(empty) == len(on) or seen.no_buffers else NOTE,
            "rx",
            text,
            "its application takes packets too slowly, or its mempool is empty",
        )


def _sends(table: VfTable, state: VfState, seen: VfSample) -> Iterator[VfFinding]:
    bar, number = table.bar, state.number
    if seen.spoofed:
        yield VfFinding(
            PROBLEM,
            "tx",
            f"the source address or VLAN is not its own: dropped by the spoof check, {seen.spoofed} frames in "
            f"{seen.drop_seconds:g} s; its address is {format_mac(state.mac)}, and it may send {_vlans(table, state)}",
            f"send from that address in that VLAN, ask for the VLAN (port.vlans.add), or dataplane vf set {table.name} "
            f"{number} spoofchk off",
        )
    elif table.spoofed and state.settings.spoofchk:
        yield VfFinding(
            NOTE,
            "tx",
            f"the spoof check has dropped {table.spoofed} frames of this port's VFs, none of this one just now; its address "
            f"is {format_mac(state.mac)}",
        )
    if not bar.read(VFTE[number >> 5]) >> (number & 31) & 1 and table.up and table.link_enabled(state):
        yield VfFinding(PROBLEM, "tx", "its gate is closed (PFVFTE): it was reset and has not begun again")
    queues = list(table.layout.queues_of(number))
    on = [queue for queue in queues if bar.get(TXDCTL[queue].ENABLE)]
    if not on:
        yield VfFinding(PROBLEM, "tx", "none of its Tx queues is on", "start its port with a Tx queue")
    waiting = [queue - queues[0] for queue in on if bar.read(TDH[queue]) != bar.read(TDT[queue])]
    if waiting and seen.seconds and not seen.tx_moved:
        yield VfFinding(
            PROBLEM, "tx", f"frames wait in Tx queue {', '.join(map(str, waiting))} and none leaves"
        )
    if seen.tx_moved > 2 and not seen.sent and not seen.spoofed:  # a context or two are no frames
        why = ": its own tags are not allowed" if state.settings.port_vlan else ""
        yield VfFinding(
            PROBLEM,
            "tx",
            f"the chip takes frames from its queues and none leaves{why}; it may send {_vlans(table, state)}",
            "send untagged frames" if why else "see whether its descriptors are right",
        )
    if state.settings.max_tx_rate:
        yield VfFinding(
            NOTE,
            "tx",
            f"it may send {state.settings.max_tx_rate} Mb/s",
            f"dataplane vf set {table.name} {number} max_tx_rate 0",
        )


def _vlans(table: VfTable, state: VfState) -> str:
    """The frames that it may send and receive, by VLAN."""
    if state.settings.port_vlan:
        return f"untagged frames, which get port VLAN {state.settings.vlan}"
    vlans = [str(vid) for vid in table.filters.vlans_of(state.number) if vid]
    return "untagged frames" + (f" and VLAN {', '.join(vlans)}" if vlans else " only")


def _filters(table: VfTable, state: VfState) -> Iterator[VfFinding]:
    """Why frames of a certain kind do not come: these are no faults unless they are what is missed."""
    number, settings = state.number, state.settings
    addresses = ", ".join(format_mac(mac) for mac in dict.fromkeys([state.mac, *state.macvlans]))
    yield VfFinding(NOTE, "rx", f"unicast: it has {addresses}; frames to other addresses do not reach it")
    vlans = [vid for vid in table.filters.vlans_of(number) if vid]
    if settings.port_vlan:
        yield VfFinding(
            NOTE,
            "both",
            f"VLAN: port VLAN {settings.vlan} is the only one; the PF tags what it sends, and its own tags are not allowed",
        )
    elif vlans:
        yield VfFinding(
            NOTE,
            "both",
            f"VLAN: untagged frames and VLAN {', '.join(map(str, vlans))}; others are not allowed",
        )
    else:
        yield VfFinding(
            NOTE, "both", "VLAN: untagged frames; it has asked for no VLAN, so tagged ones are dropped"
        )
    if state.xcast >= mailbox.XCAST_ALLMULTI:
        yield VfFinding(NOTE, "rx", "multicast: all groups")
    elif state.xcast == mailbox.XCAST_NONE:
        yield VfFinding(NOTE, "rx", "multicast: none, it has asked for mode none")
    elif not state.hashes:
        yield VfFinding(
            NOTE, "rx", "multicast: it never asked for a group", "join the group: port.multicast.set"
        )
    else:
        yield VfFinding(
            NOTE,
            "rx",
            f"multicast: {len(state.hashes)} groups by their hashes, mode {xcast_name(state.xcast)}",
        )


def _refusals(state: VfState) -> Iterator[VfFinding]:
    for what, times in state.refusals.most_common():
        often = f" ({times} times)" if times > 1 else ""
        yield VfFinding(NOTE, "both", f"refused: {what}{often}")


def _mailbox(state: VfState, dialog: Dialog) -> Iterator[VfFinding]:
    if dialog.forced:
        yield VfFinding(
            NOTE, "both", f"it kept the mailbox too long {dialog.forced} times: its driver died or hangs"
        )
    if dialog.held_back:
        yield VfFinding(
            NOTE, "both", f"it asks too much: {dialog.held_back} times it had to wait for the next answer"
        )
    if state.active:
        yield VfFinding(
            NOTE, "both", f"it speaks API {api_name(state.api)} and has sent {state.messages} messages"
        )
