# SPDX-License-Identifier: BSD-3-Clause
"""The PF's side of SR-IOV: what its VFs may do, what they ask for, and how they are doing (datasheet 7.10)."""
