# SPDX-License-Identifier: BSD-3-Clause
"""vfio-user: a PCI function of another process, by messages on a Unix socket. The server and the client use this package."""
