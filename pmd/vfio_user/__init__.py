# SPDX-License-Identifier: BSD-3-Clause
"""vfio-user: a PCI function of another process, by messages on a Unix socket. The server and the client use this package.

- `messages`: the messages as structs
- `framing`: whole messages on a stream socket, each with its descriptors
- `client`: a client's end of the socket
"""
