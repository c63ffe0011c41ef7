# SPDX-License-Identifier: BSD-3-Clause
"""Files and descriptors: captures (`pcapfile`, `record`), outputs that are written whole (`output`), `eventfd`, and
descriptors closed in the background (`closer`).
"""
