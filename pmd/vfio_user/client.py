# SPDX-License-Identifier: BSD-3-Clause
"""A client's end of a vfio-user socket: a request and its reply, from any thread, with an end to every wait.

The client notices at once when the server dies: in the thread that waits for a reply, and in a thread that only watches.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from collections.abc import Callable, Hashable, Sequence

from dataplane.errors import DeviceError, DeviceGone, DeviceTimeout
from dataplane.pmd.vfio_user.framing import Hangup, Incoming, Receiver
from dataplane.pmd.vfio_user.messages import Command, Malformed, MessageHeader, Version

__all__ = ["Connection"]

PATIENCE = 5.0  # seconds for a reply
_DATA_MOST = 1 << 20
_MESSAGE_MOST = _DATA_MOST + 4096


class Connection:
    """Connects to the socket at `path` and agrees on a version. name: what messages call the device.

    on_gone: called once, by another thread, when the server hangs up. Raises DeviceError for what does not answer there.
    """

    def __init__(self, path: str, name: str, on_gone: Callable[[], None] = lambda: None) -> None:
        self.path, self.name, self._on_gone = path, name, on_gone
        self._lock = threading.Lock()
        self._next = 0
        self._owed: dict[
            Hashable, int
        ] = {}  # questions that were given up, and are asked again -> their numbers
        self._late: dict[int, Incoming] = {}  # answers to these that have come, by number
        self._gone = ""  # why
        self._rest = memoryview(b"")  # of a message that was sent in part
        self._cut = -1  # the number of the last such message
        self._closed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(PATIENCE)
            self._connect()
            self._socket.setblocking(False)
            self._receiver = Receiver(self._socket, _MESSAGE_MOST)
            said = self._agree()
        except BaseException:
            self._socket.close()
            raise
        self.descriptors_most = said.number("max_msg_fds", 1)
        self._woken, self._wake = os.pipe()
        self._watch = threading.Thread(target=self._watch_server, name=f"{name}-server", daemon=True)
        self._watch.start()

    def request(
        self,
        command: int,
        body: bytes = b"",
        descriptors: Sequence[int] = (),
        *,
        once: Hashable | None = None,
    ) -> Incoming:
        """Send a command and return its reply, whose descriptors the caller closes.

        once: names a question whose answer must not be lost, since asking changes what is asked for. If it was given up
        before (DeviceTimeout), it is not asked again: this call waits for the answer to the first, or has it already.

        Raises DeviceGone when the server is gone, DeviceTimeout when it does not answer, DeviceError when it says no.
        """
        with self._lock:
            number = self._owed.get(once) if once is not None else None
            if number is None:
                try:
                    number = self._send(command, body, descriptors, False)
                except DeviceTimeout:
                    if once is not None and self._cut == self._next:
                        self._owed[once] = self._next  # the rest of it is sent some day, and answered
                    raise
                if once is not None:
                    self._owed[once] = number
            reply = self._late.pop(number, None) or self._wait(number, command)
            if once is not None:
                del self._owed[once]
        if reply.header.failed:
            reply.close()
            why = os.strerror(reply.header.error) if reply.header.error else "no reason given"
            raise DeviceError(f"{self.name}: the server refuses {Command(command).name}: {why}")
        return reply

    def post(self, command: int, body: bytes) -> None:
        """Send a command that is not answered. Raises DeviceGone."""
        with self._lock:
            self._send(command, body, (), True)

    @property
    def gone(self) -> bool:
        """Whether the server is gone."""
        return bool(self._gone)

    def check(self) -> None:
        """Raise DeviceGone if the server is gone."""
        if self._gone:
            raise DeviceGone(
                f"{self.name} is gone: {self._gone}; start 'dataplane nic serve' and open it again"
            )

    def close(self) -> None:
        """Hang up: the server resets the function. Calling it twice is no error."""
        if self._closed:
            return
        self._closed = True
        os.write(self._wake, b"\0")
        self._watch.join()
        self._socket.close()
        self._receiver.close()
        os.close(self._wake)
        os.close(self._woken)
        self._gone = self._gone or "it was closed"

    # ---- in detail --------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        try:
            self._socket.connect(self.path)
        except OSError as error:
            hint = {
                errno.ENOENT: "there is no such socket: start 'dataplane nic serve', or correct the name",
                errno.ECONNREFUSED: "its server is gone: start 'dataplane nic serve' again",
                errno.EACCES: "it belongs to another user",
            }.get(error.errno or 0, error.strerror or str(error))
            raise DeviceError(f"{self.name}: {hint}") from None

    def _agree(self) -> Version:
        can = {"max_msg_fds": 8, "max_data_xfer_size": _DATA_MOST}
        try:
            reply = self.request(Command.VERSION, Version(0, 0, can).pack())
            said = Version.unpack(reply.body)
        except DeviceGone:
            raise DeviceError(
                f"{self.name}: the server hangs up at once: another client has this function, one at a time may"
            ) from None
        except Malformed as error:
            raise DeviceError(f"{self.name}: it does not speak vfio-user: {error}") from None
        reply.close()
        return said

    def _send(self, command: int, body: bytes, descriptors: Sequence[int], no_reply: bool) -> int:
        self.check()
        while True:
            self._next = number = (self._next + 1) & 0xFFFF
            if number not in self._owed.values():
                break
        data = memoryview(MessageHeader.of_command(number, command, len(body), no_reply).pack() + body)
        self._push(
            self._rest, (), command
        )  # of a message that a server has taken half of, and then stood still
        try:
            self._push(data, descriptors, command)
        except DeviceTimeout:
            if self._rest:
                self._cut = number
            raise
        return number

    def _push(self, data: memoryview, descriptors: Sequence[int], command: int) -> None:
        """Send it all. Raises DeviceTimeout: then nothing was sent, or the rest is, before anything else."""
        whole = len(data)
        try:
            while data:
                try:
                    if descriptors:
                        sent = socket.send_fds(self._socket, [data], descriptors, socket.MSG_NOSIGNAL)
                    else:
                        sent = self._socket.send(data, socket.MSG_NOSIGNAL)
                except (BlockingIOError, InterruptedError):
                    self._ready(select.POLLOUT, command)
                    continue
                data, descriptors = data[sent:], ()
        except DeviceTimeout:
            if len(data) < whole or data is self._rest:
                self._rest = data
            raise
        except OSError as error:
            self._lose(f"its server has hung up ({error.strerror})")
        if whole:
            self._rest = memoryview(b"")

    def _wait(self, number: int, command: int) -> Incoming:
        while True:
            try:
                message = self._receiver.receive()
            except Hangup:
                self._lose("its server has ended or cut us off")
            except Malformed as error:
                self._lose(f"what its server says cannot be understood ({error})")
            if message is None:
                self._ready(select.POLLIN, command)
            elif message.header.id == number:
                return message
            elif message.header.id in self._owed.values():
                self._late[message.header.id] = message  # to a request that was given up and is made again
            else:
                message.close()

    def _ready(self, events: int, command: int) -> None:
        poll = select.poll()
        poll.register(self._socket, events)
        if not poll.poll(PATIENCE * 1000):
            raise DeviceTimeout(
                f"{self.name}: no answer to {Command(command).name} within {PATIENCE:g} s: its server hangs or is overloaded"
            )

    def _lose(self, why: str) -> None:
        self._gone = self._gone or why
        self.check()

    def _watch_server(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        poll.register(self._woken, select.POLLIN)
        poll.poll()
        if not self._closed:
            self._gone = self._gone or "its server has ended or cut us off"
            self._on_gone()
