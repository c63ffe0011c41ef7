# SPDX-License-Identifier: BSD-3-Clause
"""The driver's clock and its stamps on the model, whose time the test moves."""

import struct
import time

import pytest
from modelrig import frame, pair

from dataplane import pmd
from dataplane.byhand import Offload, receive, send
from dataplane.errors import ConfigError, PortError
from dataplane.pmd.datasheet import ETQF, ETQS, TIMINCA, TSYNCRXCTL, TSYNCTXCTL

ACCESS = 5_000  # ns that a few accesses take on a card that is stepped
MARK = Offload("stamp")
SYNC, DELAY_REQ, PDELAY_REQ = 0, 1, 2
IDENTITY = bytes.fromhex("0200000000770001")


def ptp(kind=SYNC, sequence=1, to="ff:ff:ff:ff:ff:ff"):
    head = bytes.fromhex(to.replace(":", "")) + bytes.fromhex("02000000007788f7")
    body = struct.pack("!BBH16s8sHHBb10s", kind, 2, 44, b"", IDENTITY, 1, sequence, 0, 0, b"")
    return (head + body).ljust(60, b"\0")


@pytest.fixture
def p():
    with pair() as made:
        yield made


def test_it_starts_with_the_time_of_day_and_goes_on(p):
    clock = p.left.clock
    assert abs(clock.read() - time.time_ns()) < 60e9
    for ns in (1_000_000, 3_600_000_000_000):
        before = clock.read()
        p.card.clock.advance_ns(ns)
        assert clock.read() - before == pytest.approx(ns, abs=ACCESS)
    assert p.left.clock is clock


def test_systim_wraps_and_the_time_does_not(p):
    clock = p.left.clock
    clock.set(0)
    for _ in range(12):  # the whole way round is 2.56 hours
        p.card.clock.advance_ns(3_600 * 10**9)
        clock.look()
    assert clock.read() == pytest.approx(12 * 3_600 * 10**9, abs=12 * ACCESS)


def test_set_and_step(p):
    clock = p.left.clock
    clock.set(5_000_000_000)
    assert clock.read() == pytest.approx(5_000_000_000, abs=ACCESS)
    for ns in (123_456_789, -1_000_000_000, 10**9, 1, 0):
        before = clock.read()
        clock.step(ns)
        assert clock.read() - before == pytest.approx(ns, abs=ACCESS)
    with pytest.raises(ConfigError, match="set the clock for more"):
        clock.step(2 * 10**9)


@pytest.mark.parametrize("ppb", [0, 50_000, -50_000, 99_999_999, -1_000_000.5, 78.125])
def test_adjust(p, ppb):
    clock = p.left.clock
    holds = clock.adjust(ppb)
    assert holds == pytest.approx(ppb, abs=39.1)
    before = clock.read()
    p.card.clock.advance_ns(10**9)
    assert clock.read() - before == pytest.approx(10**9 + holds, abs=ACCESS)
    assert f"{holds:+.0f} ppb" in repr(clock)


@pytest.mark.parametrize("ppb", [100_000_001, -1e9])
def test_what_it_cannot_adjust(p, ppb):
    with pytest.raises(ConfigError, match="must be -100000000 to 100000000"):
        p.left.clock.adjust(ppb)


def test_a_crystal_that_is_off_is_put_right(p):
    p.card.set_clock_ppm(0, 25), p.card.set_clock_ppm(1, -25)
    p.left.clock.set(0), p.right.clock.set(0)
    p.card.clock.advance_ns(10**9)
    assert p.left.clock.read() - p.right.clock.read() == pytest.approx(50_000, abs=ACCESS)
    holds = p.right.clock.adjust(50_000)
    p.right.clock.set(p.left.clock.read())
    p.card.clock.advance_ns(10**9)
    expected = 1e9 * (1 + 25e-6) - 1e9 * (1 - 25e-6) * (1 + holds * 1e-9)
    assert p.left.clock.read() - p.right.clock.read() == pytest.approx(expected, abs=ACCESS)


def test_it_goes_on_over_stop_and_start(p):
    """Which reset the chip; rate and stamps hold, too."""
    p.start()
    clock = p.left.clock
    clock.stamp()
    clock.set(0), clock.adjust(50_000)
    begun = p.card.now()
    p.left.stop()
    assert clock.read() == pytest.approx((p.card.now() - begun) * 1e9, abs=ACCESS)
    p.left.start()
    assert clock.read() == pytest.approx((p.card.now() - begun) * 1e9, rel=1e-4, abs=ACCESS)
    bar = p.left.bar
    assert bar.get(TSYNCRXCTL.ENABLE) and bar.get(TSYNCTXCTL.ENABLE) and bar.get(ETQF[0].IEEE1588)
    assert bar.get(TIMINCA.INCVALUE) == 12_800_640


def test_without_a_clock_nothing_is_written(p):
    p.start()
    assert p.left.bar.read(TIMINCA) == 0


@pytest.fixture
def stamped(p):
    p.start()
    for port in (p.left, p.right):
        port.clock.set(0)
        port.clock.stamp()
    return p


def crosses(p, data, **how):
    assert send(p.left.tx(0), [data], **how) == 1
    p.step()
    got = [each for n in range(p.right.rx_queues) for each in receive(p.right.rx(n), 32)]
    assert got == [data]


def test_both_ends_stamp_the_same_instant(stamped):
    p, apart = stamped, []
    for sequence in range(5):
        p.card.clock.advance_ns(1_000_000)
        crosses(p, ptp(SYNC, sequence), offload=MARK)
        left, right = p.left.clock.tx_stamp(0.01), p.right.clock.rx_stamp(0.01)
        assert (right.sequence, right.source) == (sequence, IDENTITY[2:])
        assert p.left.clock.read() - left < 100_000
        apart.append(right.ns - left)
    assert max(apart) - min(apart) <= 13  # two periods


def test_a_stamp_is_taken_once(stamped):
    p = stamped
    assert p.left.clock.tx_stamp() is None and p.right.clock.rx_stamp(1e-4) is None
    crosses(p, ptp())
    assert p.left.clock.tx_stamp() is None  # not asked for
    assert p.right.clock.rx_stamp() is not None and p.right.clock.rx_stamp() is None
    crosses(p, frame(1), offload=MARK)
    assert p.left.clock.tx_stamp() is not None and p.right.clock.rx_stamp() is None


def test_marked_packets_among_others(stamped):
    """The hot loop sends packets that are alike: those with a mark are not like those without."""
    p = stamped
    frames = [frame(n) for n in range(8)]
    assert send(p.left.tx(0), frames[:4]) == 4 and send(p.left.tx(0), frames[4:6], offload=MARK) == 2
    assert send(p.left.tx(0), frames[6:]) == 2
    p.step()
    assert receive(p.right.rx(0), 32) == frames
    assert p.left.clock.tx_stamp() is not None
    crosses(p, frame(9))
    assert p.left.clock.tx_stamp() is None


def test_only_one_type_of_message(stamped):
    p = stamped
    p.right.clock.stamp(message=DELAY_REQ)
    for kind, found in ((SYNC, False), (DELAY_REQ, True), (PDELAY_REQ, True)):
        crosses(p, ptp(kind))
        assert (p.right.clock.rx_stamp() is not None) == found


def test_stamps_are_off_until_they_are_asked_for(p):
    p.start()
    for stamp in (p.left.clock.rx_stamp, p.left.clock.tx_stamp):
        with pytest.raises(PortError, match=r"call clock.stamp\(\) first"):
            stamp()
    p.right.clock.stamp()
    p.right.clock.stamp(False)
    assert p.right.bar.read(ETQF[0]) == 0 and not p.right.bar.get(TSYNCRXCTL.ENABLE)
    crosses(p, ptp(), offload=MARK)


@pytest.mark.parametrize("wrong", [{"message": 16}, {"message": -1}, {"udp_port": 0}, {"udp_port": 65536}])
def test_what_cannot_be_stamped(p, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        p.left.clock.stamp(**wrong)


@pytest.mark.parametrize("ns", [-1, 1 << 63])
def test_times_that_it_cannot_have(p, ns):
    with pytest.raises(ConfigError, match=f"a time of {ns} ns"):
        p.left.clock.set(ns)


@pytest.mark.parametrize("timeout", [-1, 61, float("inf"), float("nan")])
def test_it_does_not_wait_for_ever(stamped, timeout):
    with pytest.raises(ConfigError, match="timeout="):
        stamped.left.clock.rx_stamp(timeout)


@pytest.mark.parametrize("first", ["rule", "stamps"])
def test_a_rule_for_the_same_ethertype(first):
    with pair() as p:
        p.start(queues=2)
        clock, bar = p.right.clock, p.right.bar
        if first == "stamps":
            clock.stamp()
        rule = p.right.flows.add(ether_type=0x88F7, queue=1)
        clock.stamp()
        assert [n for n, each in enumerate(ETQF) if bar.read(each)] == [0]
        crosses(p, ptp())
        assert p.right.clock.rx_stamp() is not None and bar.get(ETQS[0].RX_QUEUE) == 1
        rule.remove()
        assert list(p.right.flows) == []
        crosses(p, ptp())
        assert p.right.clock.rx_stamp() is not None and not bar.get(ETQS[0].QUEUE_EN)
        again = p.right.flows.add(ether_type=0x88F7, queue=1)
        clock.stamp(False)
        assert not bar.get(ETQF[0].IEEE1588) and list(p.right.flows) == [again]


def test_no_ethertype_filter_is_left(p):
    p.start()
    rules = [p.left.flows.add(ether_type=0x9000 + n, queue=0) for n in range(8)]
    with pytest.raises(ConfigError, match="all 8 EtherType filters"):
        p.left.clock.stamp()
    rules[3].remove()
    p.left.clock.stamp()
    with pytest.raises(ConfigError, match="all 8 EtherType filters"):
        p.left.flows.add(ether_type=0x9999, queue=0)


def test_who_has_no_clock():
    with (
        pmd.probe("null:") as port,
        pytest.raises(PortError, match=r"no IEEE 1588 clock .* the PF of an 82599"),
    ):
        port.clock  # noqa: B018
    with pmd.probe("model0,vfs=1") as pf:
        pf.start()
        with (
            pmd.probe("model0.vf0") as vf,
            pytest.raises(PortError, match=r"the clock of an 82599 .* is its PF's"),
        ):
            vf.clock  # noqa: B018
    with pytest.raises(PortError, match="closed"):
        pf.clock  # noqa: B018


def test_a_clock_of_a_closed_port():
    with pmd.probe("model0,thread=off") as port:
        clock = port.clock
        clock.stamp()
    setters = [lambda: clock.set(0), lambda: clock.step(1), lambda: clock.adjust(1)]
    for verb in (clock.read, clock.stamp, clock.tx_stamp, *setters):
        with pytest.raises(PortError, match="closed"):
            verb()


def test_a_pf_with_vfs_has_one():
    with pmd.probe("model0,vfs=2") as pf:
        pf.rx(0), pf.tx(0)
        pf.start()
        pf.clock.stamp()
        before = pf.clock.read()
        time.sleep(0.002)
        assert pf.clock.read() - before >= 2_000_000


def test_at_1_gbit(p):
    with pmd.probe("model2,thread=off,speed=1") as port:
        before = port.clock.read()
        port.function.card.clock.advance_ns(10**9)
        assert port.clock.read() - before == pytest.approx(10**9, abs=ACCESS)
