# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.app."""

from dataplane.stage import Stage

class App(Stage):
    # Of a class, or of an instance that sets them in __init__.
    edges: tuple[str, ...]
    optional: tuple[str, ...]
    drops: tuple[str, ...]
    consumes: tuple[str, ...]
    @property
    def held(self) -> int: ...
    name: str
    def prepare(self) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def edge_counts(self) -> dict[str, tuple[int, int, int]]: ...
    @property
    def drop_counts(self) -> dict[str, int]: ...
    @property
    def consumed_counts(self) -> dict[str, int]: ...
    @property
    def made_count(self) -> int: ...

class Source(App):
    burst: int

def app_error(app: App, error: BaseException, where: str) -> BaseException: ...
