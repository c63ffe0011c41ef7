# SPDX-License-Identifier: BSD-3-Clause
"""Header fields as NumPy columns: `field` finds a field in each packet, `headers` has the fields of protocols, `burst` is
what `process` gets, `numbers` reads values from Python. `native` and `jit` run Python functions as compiled apps.
"""
