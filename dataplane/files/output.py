# SPDX-License-Identifier: BSD-3-Clause
"""Files that a run writes: named and checked first, opened when the run begins, never left half done.

`Output` is a file that grows (a capture), `Lines` one that grows by lines and may end early (a trace), `Whole` one that is
replaced as a whole when it is ready (a report). Each is claimed in this program (`dataplane.engine.claim`); the first two
are locked against other processes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import secrets
import stat
import threading
import weakref
from pathlib import Path
from typing import Self

from dataplane.engine.claim import Claim, holder
from dataplane.errors import FileError, FileInUse

__all__ = ["Lines", "Output", "Whole", "is_standard_output", "standard_output_taken"]

log = logging.getLogger("dataplane")

_STANDARD_OUTPUT = 1
_UNLOCKABLE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)  # file systems without locks
_IN_PLACE = (
    errno.EPERM,
    errno.EACCES,
    errno.EBUSY,
    errno.EXDEV,
)  # a file that may be written and not replaced

_to_standard_output: weakref.WeakSet[_Target] = weakref.WeakSet()


def is_standard_output(path: str | os.PathLike[str]) -> bool:
    """Whether writing there is writing to standard output: "-", /dev/stdout, the file that it is redirected to."""
    if os.fspath(path) == "-":
        return True
    try:
        there, here = Path(path).stat(), os.fstat(_STANDARD_OUTPUT)
    except OSError:
        return False
    if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
        return False
    # Two openings of one device, as /dev/null is, do not get into each other's way.
    return not stat.S_ISCHR(there.st_mode) or os.isatty(_STANDARD_OUTPUT)


def standard_output_taken() -> bool:
    """Whether a capture, trace or report of this program goes to standard output: print nothing else there then."""
    return bool(_to_standard_output)


class _Target:
    """A file to be written, claimed and checked; nothing is opened yet.

    who: whose it is, for messages. Raises FileError, FileInUse.
    """

    error: type[FileError] = FileError

    def __init__(self, path: str | os.PathLike[str], who: str) -> None:
        self.path = os.fspath(path)
        self.who = who
        self.standard = is_standard_output(self.path)
        try:
            if self.standard:
                self._claim = Claim(_STANDARD_OUTPUT, who, path="standard output", writes=True)
                self._take_standard_output()
            else:
                _check(self.path)
                self._claim = Claim(self.path, who, writes=True)
        except OSError as error:
            raise self._cannot(error) from None

    def _take_standard_output(self) -> None:
        if others := list(_to_standard_output):
            others[0]._claim.contested = True
            raise FileInUse(
                f"{self.path}: {self.who} and {others[0].who} both go to standard output: give one a file"
            )
        if os.isatty(_STANDARD_OUTPUT):
            raise self.error(
                f"{self.path}: {self.who} would go to a terminal: redirect standard output to a file or a pipe"
            )
        _to_standard_output.add(self)

    @property
    def contested(self) -> bool:
        """Whether something else of this program was refused because it wanted the same file."""
        return self._claim.contested

    def release(self) -> None:
        """Give up the claim."""
        self._claim.release()
        _to_standard_output.discard(self)

    def _cannot(self, error: OSError) -> FileError:
        return self.error(
            f"cannot write {self.path}: {error.strerror}: name a file in a folder you may write to"
        )

    def _failed(self, error: OSError, what: str) -> FileError:
        return self.error(f"writing {self.path} failed: {error.strerror}: {what}")


class Output(_Target):
    """A file that grows during a run. `open` empties or makes it; nothing is changed before that.

    `prepare` and `open` raise FileError (`error`, if a subclass of it is given) and FileInUse. fd: -1 unless it is open.
    """

    def __init__(self, path: str | os.PathLike[str], who: str, *, error: type[FileError] = FileError) -> None:
        self.error = error
        self.fd = -1
        self._held = -1  # an existing file, open and locked, and not changed yet
        super().__init__(path, who)

    def prepare(self) -> None:
        """Check again, and lock the file if it exists. A FIFO is opened: that waits for its reader."""
        if self.fd >= 0 or self.standard:
            return
        try:
            self._claim.settle(self.path)
            if self._held < 0 or not _same(self.path, self._held):
                self._let_go()
                self._hold()
        except OSError as error:
            self._let_go()
            raise self._cannot(error) from None

    def open(self) -> int:
        """The file descriptor: the file is empty now."""
        if self.fd < 0:
            self.prepare()
            try:
                self._open()
            except OSError as error:
                self._let_go()
                raise self._cannot(error) from None
        return self.fd

    def close(self) -> None:
        """Close and unlock the file, and release the claim. Raises OSError if the kernel reports a failed write now."""
        try:
            self._let_go()
            fd, self.fd = self.fd, -1
            if fd >= 0:
                with contextlib.suppress(OSError):
                    # A child may have inherited the file, and the lock with it.
                    fcntl.flock(fd, fcntl.LOCK_UN)
                os.close(fd)
        finally:
            self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _hold(self) -> None:
        _check(self.path)
        try:
            mode = Path(self.path).stat().st_mode
        except FileNotFoundError:
            return
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            return
        self._held = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        if stat.S_ISREG(mode):
            self._lock(self._held)

    def _open(self) -> None:
        if self.standard:
            self.fd = os.dup(_STANDARD_OUTPUT)
        elif self._held >= 0:
            self.fd, self._held = self._held, -1
            if stat.S_ISREG(os.fstat(self.fd).st_mode):
                os.ftruncate(self.fd, 0)
        elif Path(self.path).exists():
            self.fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        else:
            # Follow a symbolic link whose target does not exist yet. O_EXCL: do not empty a file made meanwhile.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self.fd = os.open(os.path.realpath(self.path), flags, 0o644)
            try:
                self._lock(self.fd)
                self._claim.settle(self.fd)
            except BaseException:
                os.close(self.fd)
                self.fd = -1
                raise

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = holder(fd) or "another process"
            raise FileInUse(
                f"{self.path}: {who} writes it: wait for its end, or name another file for {self.who}"
            ) from None
        except OSError as error:
            if error.errno not in _UNLOCKABLE:
                raise

    def _let_go(self) -> None:
        if self._held >= 0:
            held, self._held = self._held, -1
            os.close(held)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class Lines(Output):
    """A text file that grows by lines from several threads: a trace. Lines written before `open` are kept until then.

    When the file takes no more (a full disk) it is cut back to its last whole line, one warning says so, and later lines
    are dropped: `write` never raises.
    """

    def __init__(self, path: str | os.PathLike[str], who: str) -> None:
        super().__init__(path, who)
        self._guard = threading.Lock()
        self._early: list[str] = []
        self._size = 0  # bytes of whole lines
        self.ended = False

    def open(self) -> int:
        """The file is there, and what was written before is in it."""
        fd = super().open()
        early, self._early = self._early, []
        self.write("".join(early))
        return fd

    def write(self, text: str) -> int:
        """Append whole lines. Returns how many characters that are: all of them, whatever becomes of them."""
        with self._guard:
            if self.fd < 0:
                if not self.ended:
                    self._early.append(text)
            elif not self.ended:
                self._append(text.encode())
        return len(text)

    def flush(self) -> None:
        """Nothing waits here: for `print(..., flush=True)`."""

    def close(self) -> None:
        """Close; later lines are dropped."""
        self.ended = True
        super().close()

    def _append(self, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.write(self.fd, data[done:])
            self._size += done
        except OSError as error:
            self.ended = True
            # Only a regular file can be cut, and standard output may hold lines of other writers.
            if not self.standard and stat.S_ISREG(os.fstat(self.fd).st_mode):
                with contextlib.suppress(OSError):
                    os.ftruncate(self.fd, self._size + data.rfind(b"\n", 0, done) + 1)
            log.warning("%s: %s ends here: %s; all else goes on", self.path, self.who, error.strerror)


class Whole(_Target):
    """A file whose content is known at once and at the end: a report. It is as it was, or whole and new, never half.

    `write` puts the text into a new file in the same folder, with the mode and owner of the old one, and renames it; a
    symbolic link stays one. A file that is not regular (a FIFO, /dev/stderr), or may be written but not replaced, is
    written in place. Both raise FileError, FileInUse.
    """

    def write(self, text: str) -> None:
        """Make this the file's content, and give up the claim."""
        data = text.encode()
        try:
            if self.standard:
                _write_all(_STANDARD_OUTPUT, data)
            elif _is_shared(self.path):
                self._write_in_place(data, os.O_APPEND)
            else:
                self._replace(data)
        except OSError as error:
            raise self._failed(error, f"make room, or choose another place for {self.who}") from None
        finally:
            self.release()

    def _write_in_place(self, data: bytes, flags: int) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | flags)
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)

    def _replace(self, data: bytes) -> None:
        target = Path(os.path.realpath(self.path))
        new = target.with_name(f".dataplane-{os.getpid()}-{secrets.token_hex(4)}")
        try:
            try:
                fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                try:
                    _make_like(target, fd)
                    _write_all(fd, data)
                    os.fsync(fd)
                finally:
                    os.close(fd)
                new.rename(target)
            finally:
                with contextlib.suppress(OSError):
                    new.unlink()
        except OSError as error:
            if error.errno not in _IN_PLACE or not target.exists():
                raise
            self._write_in_place(data, os.O_TRUNC)


def _is_shared(path: str) -> bool:
    """Whether others may have it open as it is: a FIFO, a device, a descriptor of a process by its name."""
    if re.fullmatch(r"/dev/(std(in|out|err)|fd/\d+)|/proc/[^/]+/fd/\d+", path):
        return True
    return Path(path).exists() and not Path(path).is_file()


def _make_like(target: Path, fd: int) -> None:
    """Give an open file the mode and owner of the one that it is to replace."""
    with contextlib.suppress(FileNotFoundError):
        old = target.stat()
        with contextlib.suppress(PermissionError):
            os.fchown(fd, old.st_uid, old.st_gid)
        os.fchmod(fd, stat.S_IMODE(old.st_mode))


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _same(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(Path(path).stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _check(path: str) -> None:
    """Raise OSError for what could not be opened for writing; nothing is opened."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        folder = Path(os.path.realpath(path)).parent
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        path, needed = str(folder), os.W_OK | os.X_OK
    else:
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISSOCK(mode):
            raise OSError(errno.ENXIO, "it is a socket")
        needed = os.W_OK
    if not os.access(path, needed):
        read_only = os.statvfs(path).f_flag & os.ST_RDONLY
        code = errno.EROFS if read_only else errno.EACCES
        raise OSError(code, os.strerror(code))
