# SPDX-License-Identifier: BSD-3-Clause
"""A guest: QEMU with a Debian kernel, in software (TCG) the same everywhere; a serial port tells it what to do."""

from __future__ import annotations

import base64
import compileall
import json
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from hypervisor.initramfs import Initramfs
from hypervisor.packages import Machinery

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ("busybox", "ip", "ethtool", "ping", "tcpdump")
# busybox's shell prefers its own ip and ping. pipefail: a pipe that hides a failure behind `head` hides it from a test.
_PRELUDE = 'set -o pipefail; ip() { /bin/ip "$@"; }; ping() { /bin/ping "$@"; }\n'
LONGEST = 1200  # seconds until a guest ends by itself, if the process that started it cannot end it
BOOT = 180  # seconds until it answers; 4 on an idle machine


class GuestError(Exception):
    """The guest died, or does not answer."""


class Guest:
    """One virtual machine, up when this returns.

    sockets: vfio-user sockets, each a PCI Express device behind a root port of its own: the first is 0000:01:00.0, the
    second 0000:02:00.0. waiting: those of them whose registers' writes wait for an answer (x-no-posted-writes). modules are
    loaded at boot, those of `spare` by `load`. memory: MiB. iommu: the guest has QEMU's VT-d, on. hugepages: how many of
    2 MiB it keeps. programs: besides those of every guest. host: the host's files are at /host, read-only, for `python`.
    """

    def __init__(
        self,
        machinery: Machinery,
        folder: Path,
        *,
        kernel: str = "6.1",
        sockets: Sequence[Path] = (),
        waiting: Collection[Path] = (),
        modules: Iterable[str] = (),
        spare: Iterable[str] = (),
        memory: int = 384,
        cpus: int = 1,
        iommu: bool = False,
        hugepages: int = 0,
        programs: Sequence[str] = (),
        host: bool = False,
        devices: Sequence[str] = (),
        name: str = "guest",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.kernel, self.folder = name, kernel, folder
        self.console_file = folder / f"{name}.console"
        self._number = 0
        self._programs = (*PROGRAMS, *programs)
        self._control: socket.socket | None = None
        self._answers = b""
        if host:
            # The guest has no time to compile them, and may not write. A walk does not follow links.
            for package in ("dataplane", "dataplane/pmd", "dataplane/apps"):
                compileall.compile_dir(ROOT / package, quiet=2)
        now = ["virtio_pci", "virtio_console", *modules, *(("9p", "9pnet_virtio") if host else ())]
        archive = self._initramfs(machinery, now, list(spare))
        command = [
            *("timeout", "--kill-after=5", str(LONGEST)),
            *machinery.qemu,
            *_machine(memory, cpus, iommu),
            *("-kernel", str(machinery.image(kernel)), "-initrd", str(archive)),
            *("-append", _kernel_line(iommu, hugepages)),
            *("-serial", f"file:{self.console_file}"),
            *("-chardev", f"socket,id=control,path={folder / (name + '.control')},server=on,wait=on"),
            *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=control,nr=1"),
            *(_HOST_FILES if host else ()),
            *(
                word
                for number, path in enumerate(sockets, start=1)
                for word in _behind_port(number, path, path in waiting)
            ),
            *devices,
        ]
        self._log = (folder / f"{name}.qemu").open("w")
        self._log.write(shlex.join(command) + "\n")
        self._log.flush()
        # A group of its own: a Ctrl-C for the tests is not one for the guest; `timeout` ends it if the tests cannot.
        self._qemu = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._connect(folder / f"{name}.control")
            if host:
                self.run(_MOUNT_HOST)
        except BaseException:
            self.close()
            raise

    def _initramfs(self, machinery: Machinery, now: list[str], spare: list[str]) -> Path:
        files = Initramfs(machinery.userland)
        for program in self._programs:
            files.program(program)
        files.modules(machinery.modules(self.kernel), now)
        files.file("lib/mod/now", "\n".join(files.module_order) + "\n")
        loaded = set(files.module_order)
        files.modules(machinery.modules(self.kernel), spare)
        files.file("lib/mod/spare", "\n".join(m for m in files.module_order if m not in loaded) + "\n")
        files.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")  # tcpdump wants to know whom it runs as
        files.file("init", (Path(__file__).with_name("agent.sh")).read_bytes(), 0o755)
        target = self.folder / f"{self.name}.cpio"
        target.write_bytes(files.archive())
        return target

    def _connect(self, path: Path) -> None:
        deadline = time.monotonic() + BOOT
        self._control = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self._control.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                self._check(deadline, "QEMU did not start")
                time.sleep(0.02)
        while (line := self._line(deadline, "the guest did not boot")) != "ready":
            if time.monotonic() > deadline:
                raise GuestError(f"{self.name}: the guest said {line!r}\n{self.tail()}")

    # ---- scripts ----------------------------------------------------------------------------------------------

    def run(self, script: str, timeout: float = 60) -> str:
        """Run a shell script in the guest; its output. AssertionError unless it exits with 0."""
        status, output = self.attempt(script, timeout)
        assert status == 0, f"{self.name}: status {status} of\n{script}\n{output}"
        return output

    def attempt(self, script: str, timeout: float = 60) -> tuple[int, str]:
        """Its exit status (137: longer than `timeout` seconds) and what it wrote. GuestError if the guest is gone."""
        self._number += 1
        assert self._control is not None
        encoded = base64.b64encode((_PRELUDE + script).encode()).decode()
        words = " ".join(script[:300].split())
        self._control.sendall(f"{self._number} {max(1, round(timeout))} {encoded} {words}\n".encode())
        deadline = time.monotonic() + timeout + 30
        while True:
            line = self._line(deadline, f"no answer to\n{script}")
            number, _, rest = line.partition(" ")
            if number == str(self._number):
                status, _, output = rest.partition(" ")
                return int(status), base64.b64decode(output).decode(errors="replace").rstrip("\n")

    def begin(self, script: str, output: str, status: str = "") -> None:
        """Start a script in the background; what it writes goes to the file `output`, its exit status to `status`.

        Files of an earlier one are removed before it starts: who waits for a word in them never meets an old one.
        """
        ending = f"; echo $? >{status}" if status else ""
        self.run(f"rm -f {output} {status}; (({script}) >{output} 2>&1{ending}) >/dev/null 2>&1 </dev/null &")

    def until(self, script: str, timeout: float = 60) -> str:
        """Run it again and again until it exits with 0; then its output."""
        loop = (
            f"n=0; until out=$( ( {script} ) 2>&1 ); do n=$((n+1)); sleep 0.1; done; printf '%s\\n' \"$out\""
        )
        status, output = self.attempt(loop, timeout)
        if status:
            status, output = self.attempt(script)
            assert status == 0, f"{self.name}: not within {timeout} s:\n{script}\n{output}"
        return output

    def load(self, *modules: str) -> None:
        """Load modules that were named as spare, with what they depend on."""
        names = " ".join(name.rstrip("?").replace("-", "_") for name in modules)
        self.run(
            f"for last in {names}; do for m in $(cat /lib/mod/spare); do"
            " [ -d /sys/module/$m ] || insmod /lib/mod/$m.ko; [ $m = $last ] && break; done; done; true"
        )

    def python(self, *words: str, timeout: float = 120) -> tuple[int, str]:
        """The host's Python with this checkout, in the guest: exit status and output."""
        return self.attempt(self.python_line(*words), timeout)

    def python_line(self, *words: str) -> str:
        """A line of shell that does the same, for what goes on in the background."""
        # -S: what pip has put beside the packages to be run at each start takes half a second in software.
        command = shlex.join([sys.executable, "-S", *words])
        found = shlex.quote(f"{ROOT}:{sysconfig.get_path('purelib')}")
        line = f"cd {ROOT} && PYTHONPATH={found} PYTHONDONTWRITEBYTECODE=1 exec {command}"
        return f"chroot /host /bin/sh -c {shlex.quote(line)}"

    def signal(self, how: str, words: str) -> None:
        """Send a signal to the guest's Python programs with these words in their command line. Fails if none runs."""
        # `read` leaves out the zeros between words. Not a process for each that there is: the guest's CPU may be busy.
        self.run(
            f"found=1; for p in /proc/[0-9]*; do read -r line <$p/cmdline; case $line in"
            f" /*python*{words.replace(' ', '')}*) kill -{how} ${{p#/proc/}} && found=0;; esac;"
            " done 2>/dev/null; exit $found"
        )

    def dmesg(self) -> str:
        return self.run("dmesg")

    # ---- its end ----------------------------------------------------------------------------------------------

    def console(self) -> str:
        """Everything that the guest's kernel and its scripts' names wrote."""
        return self.console_file.read_text(errors="replace") if self.console_file.exists() else ""

    def tail(self) -> str:
        """The last lines of QEMU and of the console, for the report of a failure."""
        qemu = Path(self._log.name).read_text(errors="replace").splitlines()[1:]
        return "\n".join(["QEMU:", *qemu[-20:], "console:", *self.console().splitlines()[-80:]])

    @property
    def pid(self) -> int:
        """QEMU's: it is the child of `timeout`."""
        return int(Path(f"/proc/{self._qemu.pid}/task/{self._qemu.pid}/children").read_text().split()[0])

    @property
    def alive(self) -> bool:
        return self._qemu.poll() is None

    def kill(self) -> None:
        """Kill the guest without a shutdown, as a machine that crashes."""
        # The whole group: `timeout`, and QEMU below it.
        if self.alive:
            _signal_group(self._qemu, signal.SIGKILL)
        self._qemu.wait(10)

    def close(self) -> None:
        """Power off, or kill what does not."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self.alive:
            _signal_group(self._qemu, signal.SIGTERM)
        try:
            self._qemu.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._log.close()

    def _check(self, deadline: float, what: str) -> None:
        if not self.alive:
            raise GuestError(f"{self.name}: QEMU ended with {self._qemu.returncode}\n{self.tail()}")
        if time.monotonic() > deadline:
            raise GuestError(f"{self.name}: {what}\n{self.tail()}")

    def _line(self, deadline: float, what: str) -> str:
        assert self._control is not None
        self._control.settimeout(0.5)
        while b"\n" not in self._answers:
            self._check(deadline, what)
            try:
                more = self._control.recv(1 << 16)
            except TimeoutError:
                continue
            if not more:
                time.sleep(0.1)  # QEMU is on its way out: `_check` will tell
            self._answers += more
        line, _, self._answers = self._answers.partition(b"\n")
        return line.decode(errors="replace").strip("\r")


_HOST_FILES = (
    *("-fsdev", "local,id=h,path=/,security_model=none,readonly=on,multidevs=remap"),
    *("-device", "virtio-9p-pci,fsdev=h,mount_tag=host"),
)
# The tree may lie in /tmp itself, as CI's does: it is kept from what is mounted there.
_MOUNT_HOST = f"""
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 host /host
mkdir /tree; mount --bind /host{shlex.quote(str(ROOT))} /tree
for kind in proc sysfs devtmpfs; do
  case $kind in proc) at=proc;; sysfs) at=sys;; devtmpfs) at=dev;; esac
  mount -t $kind $kind /host/$at
done
mount -t tmpfs tmpfs /host/tmp
mount -t tmpfs tmpfs /host/run
mkdir -p /host{shlex.quote(str(ROOT))}; mount --bind /tree /host{shlex.quote(str(ROOT))}
"""


def _machine(memory: int, cpus: int, iommu: bool) -> list[str]:
    """Software emulation; memory that a vfio-user server can map."""
    kind = "pc-q35-10.1,memory-backend=mem" + ""
    return [
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-accel", "tcg", "-cpu", "max", "-smp", str(cpus), "-m", str(memory), "-M", kind),
        *("-object", f"memory-backend-memfd,id=mem,size={memory}M,share=on"),
        *(("-device", "intel-iommu,intremap=on,caching-mode=on") if iommu else ()),
    ]


def _kernel_line(iommu: bool, hugepages: int) -> str:
    words = ["console=ttyS0", "panic=-1", "nokaslr", "random.trust_cpu=on", "loglevel=6", "iomem=relaxed"]
    # A guest that its host lets wait must not take that for a broken timer or a locked-up CPU.
    words += ["no_timer_check", "nowatchdog"]
    words += ["mitigations=off", "rcupdate.rcu_expedited=1"]  # for speed
    if iommu:
        words += ["intel_iommu=on"]
    if hugepages:
        words += [f"hugepages={hugepages}"]
    return " ".join(words)


def _behind_port(number: int, path: Path, waits: bool) -> list[str]:
    """A root port with a vfio-user device behind it."""
    device: dict[str, object] = {
        "driver": "vfio-user-pci",
        "x-msg-timeout": 120_000,  # ms; its 5 s are too few where the server gets little of a CPU
        "bus": f"rp{number}",
        "addr": "0.0",
        "socket": {"type": "unix", "path": str(path)},
    }
    if waits:
        device["x-no-posted-writes"] = True
    return [
        *("-device", f"pcie-root-port,id=rp{number},slot={number},pref64-reserve=32M,mem-reserve=4M"),
        *("-device", json.dumps(device)),
    ]


def _signal_group(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    import os
    from contextlib import suppress

    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
