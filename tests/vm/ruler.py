# SPDX-License-Identifier: BSD-3-Clause
"""Our PF driver, ruling over VFs: ``ruler.py PORT-STRING``. On standard input: "restart [MTU]" (a reset), "quit"."""

from __future__ import annotations

import sys

from pmd import probe


def main(text: str) -> None:
    with probe(text) as port:
        port.start()
        port.wait_link()
        print("ruling", flush=True)
        for line in sys.stdin:
            if line.strip() == "quit":
                break
            word, _, mtu = line.strip().partition(" ")
            assert word == "restart", line
            port.stop()
            if mtu:
                port.mtu = int(mtu)
            port.start()
            port.wait_link()
            print("restarted", flush=True)
        port.close(force=True)
    print("ended", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
