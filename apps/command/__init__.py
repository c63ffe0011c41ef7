# SPDX-License-Identifier: BSD-3-Clause
"""The `dataplane` command: one subcommand a file.

A subcommand is a module with ``add_arguments(parser)`` and ``run(args) -> exit status``, and a line of `cli.COMMANDS`.
Modules import the engine and the drivers inside ``run``, so that ``--help`` stays quick.
"""
