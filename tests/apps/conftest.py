# SPDX-License-Identifier: BSD-3-Clause
"""scapy is loaded once and hidden from the garbage collector: a collection follows every test, and scapy is large."""

import gc

from dataplane.apps.flows.expression import parse

parse("IP()")
gc.freeze()
