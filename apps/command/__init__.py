# SPDX-License-Identifier: BSD-3-Clause
"""The `dataplane` command: one subcommand a file.

A subcommand is a module with ``add_arguments(parser)`` and ``run(args) -> exit status``, and a line of `cli.COMMANDS`.
Modules import the engine and the drivers inside ``run``, so that ``--help`` stays quick.

Subcommands:

- `bind`, `unbind`: give a card to programs, and back to the kernel
- `demo`, `demo_vfs`: `dataplane demo`, and its second half, in which two VFs talk
- `doctor`: what this machine lacks
- `l2fwd`, `macswap`, `pcapdump`, `pktgen`: run an app on ports
- `nic`: serve a card to virtual machines and to other people's drivers
- `ports`: what can be opened on this machine
- `vf`: show, set and explain the VFs of a running PF

What they share:

- `cli`: arguments, errors and exit status
- `options`: arguments of every command that moves packets
- `session`: a run from opened ports to totals
- `qemu_args`: QEMU's options for functions of a served NIC
- `system/`: facts about this machine, kernel drivers of its cards, NICs served on it
- `terminal/`: rates on a terminal, signals, standard output and error
"""
