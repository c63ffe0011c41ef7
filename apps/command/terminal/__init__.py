# SPDX-License-Identifier: BSD-3-Clause
"""How a command speaks with its user and with the shell.

- `display`: rates on a terminal while a run lasts
- `signals`: ends a run at SIGINT, SIGTERM and SIGHUP
- `streams`: standard output and error in any state: closed, full, or without a reader
"""
