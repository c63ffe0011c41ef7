# SPDX-License-Identifier: BSD-3-Clause
"""The working state of a port as C structs, decoded from the register file, and C functions for bytes and checksums.

`word` has the offsets of registers for C code. `violation` has what the data path reports of a driver's mistakes.
"""
