# SPDX-License-Identifier: BSD-3-Clause
"""The `dataplane` command: one subcommand a file.

A subcommand is a module with ``HELP``, ``add_arguments(parser)`` and ``run(args) -> exit status``. Modules import the
engine and the drivers inside ``run``, so that ``dataplane --help`` stays quick.
"""
