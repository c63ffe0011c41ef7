# SPDX-License-Identifier: BSD-3-Clause
"""How other processes speak with a running PF, or with a VF: a Unix socket of its own, one line of JSON each way.

``{"verb": "set", "args": {...}}`` is answered by ``{"result": ...}`` or ``{"error": "..."}``. Only the user that runs
it, and root, are heard: the socket has mode 0600 in a directory of mode 0700, and the kernel says who is at its other end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataplane.errors import ConfigError, DataplaneError, PortError
from dataplane.files.private_socket import PATH_MOST, is_listening, is_ours
from dataplane.files.run_folder import RunFolder, run_folders

__all__ = ["ControlServer", "call", "running", "socket_paths"]

log = logging.getLogger("dataplane")

TIMEOUT = 5.0  # seconds, for either side
PATIENCE = {"explain": 60.0}  # for the answer: it observes VFs one after another, after earlier requests
MOST = 1 << 16  # bytes of a question
BACKLOG = 128  # questions that wait for an answer


def socket_paths(name: str) -> list[Path]:
    """Where the socket of a PF or VF may be. Raises ConfigError for what is no name.

    A NIC that goes by the path of a file ("vfio-user:/run/nic/pf0.sock") has one called after its last part, and a number.
    """
    scheme, colon, path = name.partition(":")
    if colon and "/" in path and not path.endswith("/"):
        whole = f"{scheme}:{Path(path).absolute()}"
        name = f"{Path(path).stem}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"
    if not name or "/" in name or name.startswith("."):
        raise ConfigError(f"{name!r} is no name of a NIC: write it as 'dataplane ports' has it, like model0")
    return [folder / f"{name}.sock" for folder in run_folders()]


class ControlServer:
    """Answers for a PF or VF until `close`. verbs: what may be asked, each called with the question's arguments.

    The port works without it, too: when no socket can be made, the log says so, at `level`.
    """

    path: Path | None = None
    _folder: RunFolder | None = None
    _socket: socket.socket | None = None
    _thread: threading.Thread | None = None

    def __init__(
        self, name: str, verbs: Mapping[str, Callable[..., object]], level: int = logging.WARNING
    ) -> None:
        self.close()  # a second __init__ must not lose the thread of the first
        self.name, self._verbs = name, verbs
        reasons = []
        for path in socket_paths(name):
            try:
                self._folder, self._socket = _listen(path)
            except DataplaneError as error:
                reasons.append(str(error))
            else:
                self.path = path
                break
        if self._socket is None:
            log.log(level, "%s: 'dataplane vf' cannot reach it: %s", name, "; ".join(reasons))
            return
        self._thread = threading.Thread(target=self._run, name=f"{name}-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more answers; the socket is gone."""
        if self._socket is None:
            return
        listening, self._socket = self._socket, None
        if self._folder is not None:
            self._folder.close()
            self._folder = self.path = None
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes the thread
        listening.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        listening = self._socket
        while listening is not None and self._socket is not None:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # closed
            with connection:
                connection.settimeout(TIMEOUT)
                try:
                    self._serve(connection)
                except OSError:
                    continue  # a client may go away at any time
                except Exception as error:  # a faulty question must not end the answers to others
                    log.error("%s: a question was not answered: %r", self.name, error)

    def _serve(self, connection: socket.socket) -> None:
        if not is_ours(connection):
            return
        line = _read_line(connection)
        connection.sendall(json.dumps(self._answer(line)).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, object]:
        try:
            question = json.loads(line)
            verb, args = question["verb"], question.get("args", {})
            handler = self._verbs[verb]
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"error": f"unknown verb: expected one of {', '.join(self._verbs)}"}
        try:
            return {"result": handler(**args)}
        except TypeError as error:
            return {"error": f"{verb}: {error}"}
        except DataplaneError as error:
            return {"error": str(error)}
        except Exception as error:
            log.exception("%s: %s failed", self.name, verb)
            return {"error": f"{verb} failed: {error!r}; the PF's log has the rest"}


def call(name: str, verb: str, **args: object) -> Any:
    """Ask the PF or VF of that name. Raises PortError if it does not run here, or with what it says is wrong."""
    paths = socket_paths(name)
    foreign: Path | None = None
    for path in paths:
        if len(os.fsencode(path)) > PATH_MOST:
            continue  # no socket can be there
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            try:
                connection.connect(os.fspath(path))
                connection.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
                connection.settimeout(PATIENCE.get(verb, TIMEOUT))
                answer = json.loads(_read_line(connection))
            except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
                continue
            except PermissionError:
                # A folder that we may not enter is another user's, and holds anything or nothing.
                if os.access(path.parent, os.X_OK):
                    foreign = path
                continue
            except TimeoutError:
                raise PortError(
                    f"{name} does not answer within {connection.gettimeout():g} s: its process hangs or is stopped"
                ) from None
            except (OSError, ValueError) as error:
                raise PortError(
                    f"{name} went away while it was asked ({error}): is it still running?"
                ) from None
        if "error" in answer:
            raise PortError(f"{name}: {answer['error']}")
        return answer["result"]
    if foreign is not None:
        raise PortError(f"{foreign} belongs to another user: ask as the user that runs {name}")
    if virtual := re.fullmatch(r"(.+)\.vf(\d+)(\.sock)?", name):
        pf = virtual[1] + (virtual[3] or "")
        raise PortError(
            f"{name} is a VF that no program here has started: VFs are ruled by their PF, ask {pf} about VF {virtual[2]}"
        )
    raise PortError(
        f"no PF of {name} runs here (there is no socket in {', '.join(str(path.parent) for path in paths)}): its VFs have "
        f"no PF, start one with {name},vfs=N"
    )


def running() -> list[str]:
    """The PFs and VFs that can be asked here, by name."""
    names = {
        path.stem for folder in run_folders() if os.access(folder, os.R_OK) for path in folder.glob("*.sock")
    }
    return sorted(name for name in names if any(_alive(path) for path in socket_paths(name)))


def _listen(path: Path) -> tuple[RunFolder, socket.socket]:
    """A blocking socket that listens at `path`, and its folder. Raises DataplaneError with the reason."""
    folder = RunFolder(path.parent)
    try:
        listening = folder.listen(path.name, BACKLOG)
    except BaseException:
        folder.close()
        raise
    listening.setblocking(True)
    return folder, listening


def _alive(path: Path) -> bool:
    try:
        return is_listening(path)
    except OSError:
        return False  # another user's, or its name is too long for a socket


def _read_line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = connection.recv(1 << 16)
        if not piece:
            break
        data += piece
        if len(data) > 16 * MOST:
            raise OSError("a line without end")
    return data
