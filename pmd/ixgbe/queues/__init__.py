# SPDX-License-Identifier: BSD-3-Clause
"""The queues of an 82599: the code that runs for each packet, and the checks before it runs."""
