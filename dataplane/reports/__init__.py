# SPDX-License-Identifier: BSD-3-Clause
"""Reports of a run: `stats` has `Report` and `Sampler`, `balance` checks that packets add up, `figures` formats numbers."""
