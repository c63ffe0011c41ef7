# SPDX-License-Identifier: BSD-3-Clause
"""Assembly: pipelines made ready to run: graphs checked, stages claimed, ports started, plans made; and that undone.

It also changes the pipelines of a run (`propose`, then `commit` or `cancel`), and counts over all of them.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dataplane.app import App, app_error
from dataplane.clock import cycles, hz
from dataplane.engine.lcore import Loop
from dataplane.engine.lease import abandon_ports, claim, is_alone, release, start_ports, stop_ports
from dataplane.engine.plan import Plan
from dataplane.engine.runnable import Runnable
from dataplane.errors import DataplaneError, GraphError
from dataplane.graph.endpoint import RxStage, TxStage
from dataplane.graph.graph import Graph
from dataplane.graph.handoff import HandoffTx
from dataplane.graph.lanes import check_queues
from dataplane.graph.placing import Places, lcore_names, make_plans
from dataplane.graph.stage_options import Lcore
from dataplane.port import Port
from dataplane.reports.accounts import Mark, MempoolAccounts, moved, port_balance, settle
from dataplane.reports.balance import Balance, PortBalance
from dataplane.reports.stats import Cost, Count, Report, add, growth
from dataplane.stage import Stage

__all__ = ["Assembly", "Change"]

log = logging.getLogger("dataplane")

T = TypeVar("T")
Xstats = dict[str, dict[str, int]]


@dataclass
class Change:
    """Pipelines that may replace those of a run: their stages are claimed and their ports run, but no lcore has them yet."""

    pipelines: Sequence[Runnable]
    graphs: list[Graph]
    plans: list[Plan]  # one for each lcore
    stages: list[Stage]  # that the run did not have
    ports: list[Port]  # likewise
    rows: dict[int, str]  # by id of those ports: what they are called in reports
    before: Xstats
    marks: dict[str, Mark]
    leased: list[Port]  # those of them that this run started

    def settle(self, lcore: int) -> None:
        """On an lcore that has swapped: settings of the ends of its pipelines."""
        for graph in self.graphs:
            graph.settle(self.plans[lcore].apps)

    @property
    def hands_off(self) -> bool:
        """Whether packets go from one lcore to another."""
        return any(graph.handoffs for graph in self.graphs)


class Assembly:
    """The pipelines of a run, distributed over its lcores.

    pipelines: dealt out in turn to `lcores`, each a CPU or None; they may name other lcores, too. profile: measure the costs
    of apps. idle: what lcores do while no packet comes, see `Idle`. names: makes names for pictures of the lcores.
    Raises GraphError, or the error of an app or a port that cannot take part; nothing has changed then.
    """

    def __init__(
        self,
        pipelines: Sequence[Runnable],
        lcores: Sequence[int | None],
        *,
        profile: bool = False,
        idle: str = "yield",
        names: Callable[[Sequence[Lcore]], Sequence[str]] = lcore_names,
    ) -> None:
        if not pipelines:
            raise GraphError("nothing to run: give a Pipeline")
        self.graphs: list[Graph] = []
        self.ports: list[Port] = []
        self.loops: list[Loop] = []
        self.pipelines: Sequence[Runnable] = ()
        self._places = Places(lcores, [pipeline.check() for pipeline in pipelines])
        self._names = names(self._places.names)
        # A reader of counters sees the graphs before a change, or those after it.
        self._books = threading.Lock()
        self._leased: list[Port] = []
        self._rows: dict[int, str] = {}  # by id of a port: what it is called in reports
        self._before: Xstats = {}
        self._marks: dict[str, Mark] = {}
        self._pools = MempoolAccounts()
        self._kept: list[tuple[Graph, list[App]]] = []
        self._gone_edges: dict[str, Count] = {}  # counted by apps that a change took away
        self._gone_drops: dict[str, int] = {}
        self._gone_consumed: dict[str, int] = {}
        self._gone_balance = Balance()
        self._gone_costs: dict[str, Cost] = {}
        self._gone_ports: Xstats = {}
        self._gone_moved: Counter[tuple[int, str]] = Counter()  # of ports that stay
        self._gone_port_balances: dict[str, PortBalance] = {}
        change = self.propose(pipelines)
        try:
            for plan in change.plans:
                plan.bind()
            self.loops = [Loop(plan, profile=profile, idle=idle) for plan in change.plans]
        except BaseException:
            self.cancel(change)
            raise
        self._take(change)

    @property
    def name(self) -> str:
        """The names of its pipelines, each once, joined."""
        return " + ".join(dict.fromkeys(pipeline.name for pipeline in self.pipelines))

    @property
    def lcores(self) -> list[Lcore]:
        """The CPU or the name of each loop's lcore; None for one that has neither."""
        return self._places.names

    @property
    def hands_off(self) -> bool:
        """Whether packets go from one lcore to another."""
        return any(graph.handoffs for graph in self.graphs)

    # ---- changes ---------------------------------------------------

    def propose(self, pipelines: Sequence[Runnable]) -> Change:
        """Check pipelines and make them ready. The same app, or a queue, keeps the lcore that it has.

        Raises GraphError, and what a port or an app raises; nothing has changed then.
        """
        wrapped = {
            id(app.queue): app
            for graph in self.graphs
            for app in graph.apps
            if isinstance(app, (RxStage, TxStage))
        }
        graphs = [pipeline.check(wrapped) for pipeline in pipelines]
        plans = make_plans(
            graphs,
            self._places.relocate(graphs),
            len(self.lcores),
            [handoff for graph in self.graphs for handoff in graph.handoffs],
        )
        self._check_lcores(plans)
        known = {key: label for graph in self.graphs for key, label in graph.labels.items()}
        staying = {id(app) for graph in graphs for app in graph.counted} & known.keys()
        labels = {known[key] for key in staying}
        for graph in graphs:
            graph.label(labels, known)
        stages = claim(graphs, [stage for graph in self.graphs for stage in graph.stages])
        try:
            ports = _without(_each(port for graph in graphs for port in graph.ports), self.ports)
            check_queues(ports, graphs)
            rows = self._name_rows(ports)
            before = {rows[id(port)]: port.xstats() for port in ports}
            marks = {rows[id(port)]: Mark.of(port) for port in ports}
            self._pools.meet(graphs)
            _prepare(ports, [app for graph in graphs for app in graph.apps if id(app) not in staying])
            leased = start_ports(ports)
        except BaseException:
            release(stages)
            raise
        return Change(pipelines, graphs, plans, stages, ports, rows, before, marks, leased)

    def _name_rows(self, ports: list[Port]) -> dict[int, str]:
        """A name for each port in reports: its own, with a number if others in the run have the same."""
        taken, rows = set(self._rows.values()), {}
        for port in ports:
            row, count = port.name, 1
            while row in taken:
                count += 1
                row = f"{port.name}#{count}"
            taken.add(row)
            rows[id(port)] = row
        return rows

    def _check_lcores(self, plans: list[Plan]) -> None:
        for number, plan in enumerate(plans):
            for other, loop in enumerate(self.loops):
                moved = [] if other == number else [app for app in plan.apps if app in loop.plan]
                if moved:
                    raise GraphError(
                        f"{moved[0]} is on lcore {other} of the run and would be on lcore {number}: "
                        "give the pipelines in the order of those that run"
                    )

    def cancel(self, change: Change) -> None:
        """No lcore took it, because of an error that is on its way: what ports raise when they stop goes to the log."""
        release(change.stages)
        self._log(stop_ports(change.leased))

    def _log(self, errors: list[BaseException]) -> None:
        for error in errors:
            log.error("%s: %s", self.name, error)

    def keep(self, change: Change) -> None:
        """Some lcores may run it, and some not, and the run ends: hold what both need until `undo`."""
        with self._books:
            known = [app for graph in self.graphs for app in graph.counted]
            self._kept = [(graph, _without(graph.counted, known)) for graph in change.graphs]
            self._take_ports(change)

    def commit(self, change: Change) -> None:
        """Finish a change that all lcores run: count and release what left, stop its ports, and log what they raise."""
        old_pipelines, old_graphs = self.pipelines, self.graphs
        leaving = _without(self.ports, _each(port for graph in change.graphs for port in graph.ports))
        alone = {id(port) for port in leaving if is_alone(port)}
        ports, errors = self._read_while(leaving, lambda: self._stop(leaving))
        with self._books:
            self._retire([app for graph in change.graphs for app in graph.counted], old_graphs, ports)
            self._retire_ports(leaving, ports, alone)
        self._pools.leave(old_graphs, change.graphs, len(self.loops))
        with self._books:
            self._take(change)
            self.ports = _without(self.ports, leaving)
            for port in leaving:
                del self._rows[id(port)]
        stages = [stage for graph in old_graphs for stage in graph.stages]
        release(_without(stages, [stage for graph in change.graphs for stage in graph.stages]))
        now: Xstats = {}
        errors += self._read_into(now, self.ports)
        report = self.report(not errors, now)
        for pipeline in _without(old_pipelines, change.pipelines):
            pipeline.report = report
        self._log(errors)

    def _take(self, change: Change) -> None:
        self.pipelines, self.graphs = change.pipelines, change.graphs
        self._take_ports(change)
        for pipeline, graph in zip(change.pipelines, change.graphs, strict=True):
            pipeline.graph, pipeline.report = graph, None
        for graph in change.graphs:
            graph.ran_on = {
                id(app): name
                for plan, name in zip(change.plans, self._names, strict=True)
                for app in plan.apps
            }

    def _take_ports(self, change: Change) -> None:
        self.ports = [*self.ports, *change.ports]
        self._rows |= change.rows
        self._before |= change.before
        self._marks |= change.marks
        self._leased += change.leased

    def _retire(self, staying: list[App], graphs: list[Graph], ports: Xstats) -> None:
        """Keep what those apps have counted that do not stay, and what those ports have."""
        keys = {id(app) for app in staying}
        for graph in graphs:
            gone = [app for app in graph.counted if id(app) not in keys]
            _discard(gone, "replaced")
            add(self._gone_edges, graph.counts(gone))
            add(self._gone_drops, graph.drops(gone))
            add(self._gone_consumed, graph.consumed(gone))
            self._gone_balance += graph.balance(gone)
            add(self._gone_costs, self._costs_of(graph, gone))
            self._gone_moved += moved(gone)
        for loop in self.loops:
            if loop.profiler is not None:
                loop.profiler.forget_gone()
        for name, now in ports.items():
            add(self._gone_ports.setdefault(name, {}), growth(now, self._before[name]))

    def _retire_ports(self, leaving: list[Port], ports: Xstats, alone: set[int]) -> None:
        """Keep the balances of ports that leave."""
        for port in leaving:
            row = self._rows[id(port)]
            grown = growth(ports[row], self._before[row])
            balance = self._port_balance(port, grown, self._gone_moved, id(port) in alone)
            known = self._gone_port_balances.get(row)
            self._gone_port_balances[row] = balance if known is None else known + balance
            for what in ("received", "taken"):
                self._gone_moved.pop((id(port), what), None)

    def _port_balance(
        self, port: Port, grown: dict[str, int], counts: Counter[tuple[int, str]], alone: bool
    ) -> PortBalance:
        row, key = self._rows[id(port)], id(port)
        return port_balance(
            grown,
            self._marks[row],
            Mark.of(port),
            counts[key, "received"],
            counts[key, "taken"],
            alone and port.whole,
        )

    def _stop(self, ports: list[Port]) -> list[BaseException]:
        """Stop those of them that this run started."""
        ours = [port for port in self._leased if any(port is each for each in ports)]
        self._leased = _without(self._leased, ours)
        return stop_ports(ours)

    # ---- counters ---------------------------------------------------

    def counts(self) -> tuple[dict[str, Count], dict[str, int]]:
        """Edges and drops since the run began, by name; of apps that a change took away, too."""
        with self._books:
            edges, drops = dict(self._gone_edges), dict(self._gone_drops)
            for graph, apps in self._counted():
                add(edges, graph.counts(apps))
                add(drops, graph.drops(apps))
            return edges, drops

    def _consumed(self) -> dict[str, int]:
        with self._books:
            consumed = dict(self._gone_consumed)
            for graph, apps in self._counted():
                add(consumed, graph.consumed(apps))
            return consumed

    def balance(self) -> Balance:
        """Where the packets came from since the run began, and where they went."""
        with self._books:
            return sum((graph.balance(apps) for graph, apps in self._counted()), self._gone_balance)

    def _costs(self) -> dict[str, Cost]:
        """The cost of each app that was measured, by its name."""
        with self._books:
            costs = dict(self._gone_costs)
            for graph, apps in self._counted():
                add(costs, self._costs_of(graph, apps))
            return costs

    def _costs_of(self, graph: Graph, apps: list[App]) -> dict[str, Cost]:
        profilers = [loop.profiler for loop in self.loops if loop.profiler is not None]
        found = [(app, profiler.cost(app)) for app in apps for profiler in profilers]
        return {graph.name_of(app): cost for app, cost in found if cost is not None}

    def _counted(self) -> list[tuple[Graph, list[App]]]:
        return [*((graph, graph.counted) for graph in self.graphs), *self._kept]

    def xstats(self) -> Xstats:
        """The counters of its ports as they are."""
        with self._books:
            ports = [(self._rows[id(port)], port) for port in self.ports]
        return {row: port.xstats() for row, port in ports}

    def _read_while(
        self, ports: list[Port], end: Callable[[], list[BaseException]]
    ) -> tuple[Xstats, list[BaseException]]:
        """The xstats of ports after `end`, or before it of a port that does not answer then; and what went wrong in all.

        Reads after `end` because packets leave and arrive until a port has stopped.
        """
        found: Xstats = {}
        errors = self._read_into(found, ports)
        errors += end()
        self._read_into(found, ports)
        return found, errors

    def _read_into(self, found: Xstats, ports: list[Port]) -> list[BaseException]:
        """Keep what the ports say, as far as they say something; returns what went wrong."""
        errors: list[BaseException] = []
        for port in ports:
            row = self._rows[id(port)]
            known = found.setdefault(row, dict(self._before[row]))
            try:
                said = port.xstats()
            except DataplaneError as error:
                errors.append(error)
                continue
            known |= said
        return errors

    def report(self, ok: bool, ports: Xstats, alone: Collection[int] = ()) -> Report:
        """The report of the run so far. ports: their xstats now; alone: by id, ports that only this run has used."""
        edges, drops = self.counts()
        began = min((loop.began for loop in self.loops if loop.began), default=0)
        ended = max(loop.ended or (cycles() if loop.began else 0) for loop in self.loops)
        grown = {name: dict(numbers) for name, numbers in self._gone_ports.items()}
        for name, now in ports.items():
            add(grown.setdefault(name, {}), growth(now, self._before[name]))
        with self._books:
            counted, rows = self._counted(), dict(self._rows)
            counts = sum((moved(apps) for _, apps in counted), self._gone_moved.copy())
            balances = dict(self._gone_port_balances)
            taken = {row: balance.taken for row, balance in balances.items()}
            for port in self.ports:
                row = rows[id(port)]
                grown_here = growth(ports.get(row, {}), self._before[row])
                here = self._port_balance(port, grown_here, counts, id(port) in alone)
                balances[row] = balances[row] + here if row in balances else here
                taken[row] = taken.get(row, 0) + counts[id(port), "taken"]
            held = {graph.name_of(app): app.held for graph, apps in counted for app in apps if app.held}
            paces = {graph.name_of(app): app.pace for graph, apps in counted for app in apps}
        balance, lost, waiting = settle(self.balance(), balances, taken)
        kept = {name: pace for name, pace in paces.items() if pace is not None}
        unmet = [f"{name}: {pace}" for name, pace in kept.items() if not (pace.kept or pace.best_effort)]
        return Report(
            app=self.name,
            seconds=max(ended - began, 0) / hz(),
            packets=sum(loop.packets for loop in self.loops),
            edges=edges,
            drops=drops | lost,
            consumed=self._consumed(),
            held=held | waiting,
            balance=balance,
            ports=grown,
            port_balances=balances,
            paces=kept,
            pools=self._pools.dry([graph for graph, _ in counted], len(self.loops)),
            profile=self._costs(),
            ok=ok and not unmet,
            unmet=unmet,
        )

    # ---- its end ---------------------------------------------------

    def undo(self, ok: bool) -> Report:
        """Stop the ports and let go of the stages; returns the report. Raises what a port raises, after all of it."""
        for _, apps in self._counted():
            _discard(apps, "stopped")
        alone = {id(port) for port in self.ports if is_alone(port)}
        ports, errors = self._read_while(self.ports, lambda: self._stop(self.ports))
        report = self.report(ok and not errors, ports, alone)
        report.unmet += [str(error) for error in errors]
        if ok and report.balance.missing:
            report.ok = False
            report.unmet.append(f"{report.balance.missing:,} packets are missing: an app is wrong")
            self._complain(report.balance)
        if ok and not errors:
            self._compare(report)
        for loop in self.loops:
            loop.plan.unbind()
        for pipeline in self.pipelines:
            pipeline.report = report
        release(
            stage for graph in (*self.graphs, *(graph for graph, _ in self._kept)) for stage in graph.stages
        )
        if errors:
            raise errors[0]
        return report

    def _complain(self, balance: Balance) -> None:
        """Say which apps are wrong, as far as that can be known: after a replacement their links are not those of before."""
        apps = [f"{app} {missing:+,}" for graph in self.graphs for app, missing in graph.faulty()]
        log.error(
            "%s: %s: %d packets are missing (%s): an app must emit, drop or hold each packet that it takes, once",
            self.name, balance, balance.missing, ", ".join(apps) or "all apps are right",
        )  # fmt: skip

    def _compare(self, report: Report) -> None:
        """Log the ports that this run alone has used and whose counts differ from those of the run."""
        for name, port in report.port_balances.items():
            if port.exact and (port.rx_missing or port.tx_missing):
                log.warning(
                    "%s: %s: %s: %d packets that arrived and %d for sending are nowhere: the device has dropped them, "
                    "or counts otherwise",
                    self.name, name, port, port.rx_missing, port.tx_missing,
                )  # fmt: skip

    def abandon(self) -> tuple[Report, list[BaseException]]:
        """Of ports and stages that are polled for good: the report, and what the ports raised."""
        ports, errors = self._read_while(self.ports, lambda: abandon_ports(self.ports))
        return self.report(False, ports), errors


def _discard(apps: Iterable[App], reason: str) -> None:
    """Drop packets that are left in hand-offs."""
    for app in apps:
        if isinstance(app, HandoffTx):
            app.discard(reason)


def _prepare(ports: list[Port], apps: list[App]) -> None:
    """All checks of ports and apps, before the first of them changes anything."""
    for port in ports:
        port.prepare()
    for app in apps:
        try:
            app.prepare()
        except BaseException as error:
            raise app_error(app, error, "prepare()") from error.__cause__


def _each(things: Iterable[T]) -> list[T]:
    """Each thing once."""
    return list({id(thing): thing for thing in things}.values())


def _without(things: Iterable[T], others: Iterable[T]) -> list[T]:
    """Those that are none of the others."""
    keys = {id(other) for other in others}
    return [thing for thing in things if id(thing) not in keys]
