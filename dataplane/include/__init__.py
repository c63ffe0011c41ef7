# SPDX-License-Identifier: BSD-3-Clause
"""The C headers of the engine. The wheel has them, for compiled apps outside this repository.

- `dataplane.h`: structs that hardware, threads and processes share, and machine instructions that Cython lacks
- `addresses.h`: both MAC addresses of each packet of a burst, to and from columns
"""
