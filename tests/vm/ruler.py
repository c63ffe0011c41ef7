# SPDX-License-Identifier: BSD-3-Clause
"""Our PF driver, ruling over VFs: ``ruler.py PORT-STRING...``. On standard input: "restart [MTU]" (a reset), "quit"."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from dataplane.pmd import probe


def main(texts: list[str]) -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(probe(text)) for text in texts]
        for port in ports:
            port.start()
            port.wait_link()
        print("ruling", flush=True)
        for line in sys.stdin:
            if line.strip() == "quit":
                break
            word, _, mtu = line.strip().partition(" ")
            assert word == "restart", line
            for port in ports:
                port.stop()
                if mtu:
                    port.mtu = int(mtu)
                port.start()
                port.wait_link()
            print("restarted", flush=True)
        for port in ports:
            port.close(force=True)
    print("ended", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
