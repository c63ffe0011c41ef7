# SPDX-License-Identifier: BSD-3-Clause
"""Texts for what the data path reports of a driver's mistakes, in the order of `mdl_violation_code` in violation.h."""

from __future__ import annotations

__all__ = ["VIOLATIONS", "describe"]

# (register, section, text); the text is formatted with the queue, the descriptor's index and the offending value.
# fmt: off
VIOLATIONS = (
    ("TDT", "7.2.3.3", "tail {value} is beyond the end of a descriptor ring of {index}"),
    ("RDT", "7.1.9", "tail {value} is beyond the end of a descriptor ring of {index}"),
    ("TDT", "7.2.3.2.4", "descriptor {index} has a buffer of 0 bytes"),
    ("TDT", "7.2.3.3", "the tail moved to {value} in the middle of the packet that starts at descriptor {index}"),
    ("TDT", "7.2.3.2.4", "the packet at descriptor {index} has {value} bytes: the chip sends at most 15868 without FCS"),
    ("TDT", "7.2.3.2.4", "the packet at descriptor {index} has {value} bytes: what the chip does below 17 is undefined"),
    ("TDT", "7.2.3.2.4", "a packet of more than 40 descriptors (the last one seen is {index})"),
    ("TDT", "7.2.3.2.4", "PAYLEN of the packet at descriptor {index} is not its length (upper word {value:#010x})"),
    ("TDT", "7.2.3.2", "descriptor {index} is of no kind that may stand there ({value:#018x})"),
    ("TDT", "7.2.3.2.3", "a context descriptor at {index}, in the middle of a packet"),
    ("TXDCTL", "4.6.8", "queue {value} does not transmit: without pools and traffic classes only queues 0 to 63 do"),
    ("TDT", "7.2.3.2.4", "descriptor {index} has a buffer of {value} bytes: 16384 are the most"),
    ("TDT", "7.2.5", "an offload of the packet at descriptor {index} lies outside the packet (upper word {value:#010x})"),
    ("TDT", "7.2.4", "TCP segmentation at descriptor {index} with an impossible context (lengths {value:#x})"),
    ("RDT", "7.1.6.1", "descriptor {index} has bit 0 of its header address set, where DD will be ({value:#x})"),
    ("RDT", "7.1.6.1", "descriptor {index} has an odd buffer address ({value:#x})"),
    ("SRRCTL", "7.1.10", "header split must not be relied on: one buffer is used ({value:#010x})"),
    ("RDLEN", "7.1.6", "a ring of {index} descriptors can never hold a packet of {value} bytes: it is dropped"),
    ("SRRCTL", "8.2.3.8.7", "BSIZEPACKET must be 1 to 16 KiB ({value:#010x})"),
    ("RDRXCTL", "8.2.3.8.8", "CRCSTRIP and HLREG0.RXCRCSTRP differ ({value:#010x})"),
    ("MAXFRS", "8.2.3.22.13", "the packet at descriptor {index} has {value} bytes with FCS: more than MAXFRS allows"),
    ("TDT", "7.12, 7.8", "descriptor {index} asks for IPsec or LinkSec, which the chip lacks (SECTXSTAT.SECTX_OFF_DIS)"),
    ("TDT", "7.13", "descriptor {index} asks for an offload of FCoE, which the model does not have"),
    ("TIMINCA", "7.9, 8.2.3.26", "a packet is stamped while SYSTIM stands still ({value:#010x})"),
    ("RSCCTL", "7.11, 7.3.2.1", "a packet to be merged waits, and no vector with an interval ends that ({value:#010x})"),
    ("TDT", "7.9, 9.4", "descriptor {index} asks for a time stamp (1588): it takes the PF's, and a VF has no clock"),
)
# fmt: on
_OF_PORT = ("TIMINCA",)  # no queue has one of its own


def describe(code: int, queue: int, index: int, value: int) -> tuple[str, int, str, str]:
    """(register, value, section, what was wrong)."""
    register, section, text = VIOLATIONS[code]
    if register in _OF_PORT:
        return register, value, section, text.format(value=value)
    return f"{register}[{queue}]", value, section, f"queue {queue}: {text.format(index=index, value=value)}"
