# SPDX-License-Identifier: BSD-3-Clause
"""Any TCP traffic through a queue that merges: every byte comes once, in its connection's order, in headers that hold."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether

from tests.pmd.model.merging import MergingQueue, Wire
from tests.pmd.model.tcp_streams import FLOWS, Sender, actions, joined, key, parsed


def judge(large, singles):
    """The header of a merged packet: length, IPv4's sum, and what is the last one's and what the first one's."""
    got = Ether(large.data)
    end = (got[TCP].seq + got[IP].len - got[IP].ihl * 4 - got[TCP].dataofs * 4) & 0xFFFFFFFF
    assert got[IP].len == len(large.data) - (18 if Dot1Q in got else 14)
    again = got.copy()
    del again[IP].chksum
    assert Ether(bytes(again))[IP].chksum == got[IP].chksum
    same = [one for one in singles if key(one) == key(got)]
    first = next(one for one in same if one[TCP].seq == got[TCP].seq and one[IP].id == got[IP].id)
    last = next(one for one in same if one[TCP].ack == got[TCP].ack)
    size = last[IP].len - 4 * last[IP].ihl - 4 * last[TCP].dataofs
    assert (last[TCP].seq + size) & 0xFFFFFFFF == end
    assert (got[TCP].window, got[TCP].options) == (last[TCP].window, last[TCP].options)
    assert got[TCP].flags == last[TCP].flags and got[IP].tos == first[IP].tos
    assert got[TCP].chksum == first[TCP].chksum


@settings(max_examples=80, deadline=None)
@given(
    st.lists(actions, min_size=1, max_size=60),
    st.lists(st.booleans(), min_size=FLOWS, max_size=FLOWS),
    st.lists(st.sampled_from([None, None, 5, 6]), min_size=FLOWS, max_size=FLOWS),
    st.integers(0, 3),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([16, 64]),
)  # fmt: skip
def test_any_traffic(steps, stamped, tagged, most, kib, n):
    wire = Wire()
    if most == 3 and kib == 4:
        kib = 2  # 16 buffers of 4 KiB are too much
    rx = MergingQueue(wire.b, n=n, most=most, kib=kib)
    sender, sent, got = Sender(stamped, tagged), [], []
    for action in steps:
        for text in sender.frames(action):
            wire.a.tx[0].send(text)
            sent.append(text)
        wire.a.step()
        if action.pause:
            wire.b.step()
            wire.later(action.pause * 1000)
            got += rx.take_large()
    for _ in range(100):  # a short ring is full of what waits for its time, and the next ones behind
        wire.later()
        got += rx.take_large()
    singles, merged = parsed(sent), [large for large in got if large.merged > 1]
    assert joined(parsed(large.data for large in got)) == joined(singles)
    for large in merged:
        judge(large, singles)
    others = [text for text in sent if TCP not in Ether(text) or IP not in Ether(text)]
    assert [large.data for large in got if TCP not in Ether(large.data) or IP not in Ether(large.data)] == [
        text.ljust(60, b"\0") for text in others
    ]
    assert sum(large.merged or 1 for large in got) == len(sent)
    assert wire.b.violations() == []
    assert not rx.open
