# SPDX-License-Identifier: BSD-3-Clause
"""A card served to other processes: one vfio-user socket for each of its functions."""
