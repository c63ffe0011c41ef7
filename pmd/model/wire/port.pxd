# SPDX-License-Identifier: BSD-3-Clause
"""Wires between model ports of one process."""

from dataplane.pmd.model.datapath.engine cimport Engine, Wire


cdef class PortWire(Wire):
    cdef readonly Engine a, b


cdef class LoopPlug(Wire):
    cdef readonly Engine port
