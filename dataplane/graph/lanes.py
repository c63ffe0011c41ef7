# SPDX-License-Identifier: BSD-3-Clause
"""Lanes: one pipeline on several lcores, each with queues and apps of its own.

The first lane is the pipeline as it was described. The others have clones of its apps, and the next queues of its ports.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence

from dataplane.app import App, app_error
from dataplane.engine.runnable import Runnable
from dataplane.errors import GraphError
from dataplane.graph.graph import Graph
from dataplane.graph.taps import stages_of
from dataplane.port import Port
from dataplane.queue import RxQueue, TxQueue
from dataplane.stage import Chain, Stage

__all__ = ["Lanes", "check_queues"]

# Rx queues of a port that lanes asked for.
_made: weakref.WeakKeyDictionary[Port, int] = weakref.WeakKeyDictionary()


class Lanes:
    """The lanes of a run on `count` lcores. An app that is in the next pipeline, too, keeps its clones."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._clones: dict[
            int, tuple[App, list[App]]
        ] = {}  # by id of an app: the app, and one for each further lane
        self._next = self._clones

    def of(self, pipelines: Sequence[Runnable]) -> Sequence[Runnable]:
        """One pipeline is made into one for each lane; several stay as they are.

        Raises GraphError for a pipeline that places its stages, for ports with too few queues and for apps without `clone`.
        """
        if self._count == 1 or len(pipelines) != 1:
            return pipelines
        graph = pipelines[0].check()
        if any(lcore is not None for lcore in graph.lcores.values()):
            raise GraphError(
                f"{graph.name} places its stages on lcores, and would run on {self._count} more: "
                "run it on one, or leave out lcores= in Pipeline"
            )
        own = {
            id(stage) for stage in stages_of(pipelines[0].chains)
        }  # without taps: these stay in the first lane
        queues = [queue for queue in graph.queues if id(queue) in own]
        strides = {id(queue): _stride(graph, queue, self._count) for queue in queues}
        self._next = {
            id(app): (app, self._clones_of(app))
            for app in graph.stages
            if isinstance(app, App) and id(app) in own
        }
        lanes: list[Runnable] = [pipelines[0]]
        for lane in range(1, self._count):
            stages: dict[int, Stage] = {key: clones[lane - 1] for key, (_, clones) in self._next.items()}
            for queue in queues:
                stages[id(queue)] = _queue_of(queue, queue.index + lane * strides[id(queue)])
            lanes.append(pipelines[0].lane([_chain_of(chain, stages) for chain in pipelines[0].chains]))
        return lanes

    def settle(self) -> None:
        """What `of` returned last runs now: let go of clones that it does not have."""
        self._clones = self._next

    def _clones_of(self, app: App) -> list[App]:
        if id(app) in self._clones:
            return self._clones[id(app)][1]
        return [_clone(app) for _ in range(1, self._count)]


def check_queues(ports: Iterable[Port], graphs: Sequence[Graph]) -> None:
    """Raise GraphError for a port that has Rx queues for more lanes than there are now: RSS would fill them, too."""
    for port in ports:
        used = {queue.index for graph in graphs for queue in graph.queues if queue.port is port}
        if not port.started and _made.get(port, 0) > max(used, default=0):
            raise GraphError(
                f"{port.name} has {_made[port] + 1} Rx queues from a run on more lcores, and {len(used)} would be polled: "
                "use as many lcores again, or close the port and probe it"
            )


def _clone(app: App) -> App:
    try:
        clone = app.clone()
    except Exception as error:
        raise app_error(app, error, "clone()") from error.__cause__
    if type(clone) is not type(app) or clone is app:
        raise GraphError(
            f"{app}.clone() returned {clone!r}: expected another {type(app).__name__}; define clone() in that class"
        )
    clone.name = app.name
    return clone


def _stride(graph: Graph, queue: RxQueue | TxQueue, lanes: int) -> int:
    """How far the queues of two lanes are apart. Raises GraphError if the port has not enough of them."""
    kind = RxQueue if isinstance(queue, RxQueue) else TxQueue
    used = [each.index for each in graph.queues if isinstance(each, kind) and each.port is queue.port]
    stride = max(used) - min(used) + 1
    info = queue.port.info
    word, most = ("Rx", info.max_rx_queues) if kind is RxQueue else ("Tx", info.max_tx_queues)
    if max(used) + (lanes - 1) * stride >= most:
        possible = (most - 1 - max(used)) // stride + 1
        raise GraphError(
            f"{graph.name} cannot run on {lanes} lcores: {queue.port.name} has {most} {word} queue{'s' * (most > 1)}, "
            f"enough for {possible} lane{'s' * (possible > 1)}; give it {possible}, or place its apps with lcores="
        )
    return stride


def _queue_of(queue: RxQueue | TxQueue, index: int) -> RxQueue | TxQueue:
    port: Port = queue.port
    if isinstance(queue, TxQueue):
        return port.tx(index)
    if index >= port.rx_queues:
        _made[port] = index
    return port.rx(index)


def _chain_of(chain: Chain | Stage, stages: dict[int, Stage]) -> Chain | Stage:
    """The same chain of other stages."""
    if isinstance(chain, Stage):
        return stages[id(chain)]
    links = tuple((stages[id(origin)], edge, stages[id(target)]) for origin, edge, target in chain.links)
    return Chain(links, stages[id(chain.last)])
