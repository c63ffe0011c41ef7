# SPDX-License-Identifier: BSD-3-Clause
"""What the connector of a port is joined to: another port of the process (`port`), a port of another process (`peer`, with
`ends` and `greeting` to find each other), a capture file (`pcap`) or a tap (`tap`). `explain` describes a wire in words.
"""
