# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.copying, which has C functions only."""
