# SPDX-License-Identifier: BSD-3-Clause
"""Reads a packet expression such as ``Ether()/IP(dst="10.0.0.0/28")/UDP(sport=(1024, 1039))`` from text.

A command line or a configuration file holds text, and text must not be able to do what a program can. So
nothing is evaluated by Python: the text is parsed, and only layer classes of scapy, `/`, constants, tuples,
lists and keyword arguments are followed. Everything else is refused by name.
"""

from __future__ import annotations

import ast
import importlib
import ipaddress
import re
from functools import cache
from typing import Any

from dataplane.errors import ConfigError

EXAMPLE = 'Ether()/IP(dst="10.0.0.0/28")/UDP(sport=(1024, 1039), dport=[53, 80])'

_LAYER_MODULES = (
    "l2",
    "inet",
    "inet6",
    "vxlan",
    "dns",
    "sctp",
    "ntp",
    "dhcp",
    "snmp",
    "rip",
    "hsrp",
    "vrrp",
)
_SETS = {"Net", "Net6"}
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


@cache
def _names() -> dict[str, Any]:
    """Every name an expression may call: scapy's layers, its address sets and its random values."""
    packet = importlib.import_module("scapy.packet")
    volatile = importlib.import_module("scapy.volatile")
    names: dict[str, Any] = {"Raw": packet.Raw, "Padding": packet.Padding}
    for module_name in _LAYER_MODULES:
        module = importlib.import_module(f"scapy.layers.{module_name}")
        for name, value in vars(module).items():
            if name in _SETS or (
                isinstance(value, type) and issubclass(value, packet.Packet) and name[0] != "_"
            ):
                names.setdefault(name, value)
    for name, value in vars(volatile).items():
        if name.startswith("Rand") and isinstance(value, type) and issubclass(value, volatile.RandField):
            names[name] = value
    return names


def _refuse(text: str, node: ast.AST, reason: str) -> ConfigError:
    piece = ast.get_source_segment(text, node) or type(node).__name__
    return ConfigError(f"packet expression: {piece!r} {reason}; write for example {EXAMPLE}")


def parse(text: str) -> Any:
    """The scapy packet that `text` describes.

    Raises ConfigError, which names the piece that is wrong, for anything that is not a packet expression.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(
            f"packet expression {text!r}: {reason}{where}; write for example {EXAMPLE}"
        ) from error
    try:
        packet = _value(text.strip(), tree.body)
    except RecursionError as error:
        raise ConfigError(f"packet expression is nested too deeply; write for example {EXAMPLE}") from error
    from scapy.packet import Packet

    if not isinstance(packet, Packet):
        raise _refuse(text.strip(), tree.body, "is not a packet")
    return packet


def _value(text: str, node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, (int, str, bytes)) or node.value is None:
            return node.value
        raise _refuse(text, node, "is not a number, a string or bytes")
    if isinstance(node, ast.Tuple):
        return tuple(_value(text, element) for element in node.elts)
    if isinstance(node, ast.List):
        return [_value(text, element) for element in node.elts]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(text, node.operand)
        if isinstance(number, int):
            return -number
        raise _refuse(text, node, "is not a number")
    if isinstance(node, ast.BinOp):
        return _stack(text, node)
    if isinstance(node, ast.Call):
        return _call(text, node)
    if isinstance(node, ast.Name) and node.id in _names():
        raise _refuse(text, node, f"is a layer but not a packet: call it, {node.id}()")
    raise _refuse(
        text, node, "is not allowed: only layers, '/', constants, tuples, lists and keyword arguments are"
    )


def _stack(text: str, node: ast.BinOp) -> Any:
    from scapy.packet import Packet

    if not isinstance(node.op, ast.Div):
        raise _refuse(text, node, "joins by something else than '/'")
    lower, upper = _value(text, node.left), _value(text, node.right)
    for side, value in ((node.left, lower), (node.right, upper)):
        if not isinstance(value, (Packet, str, bytes)):
            raise _refuse(text, side, "is not a layer, a string or bytes, so '/' cannot stack it")
    if not isinstance(lower, Packet) and not isinstance(upper, Packet):
        raise _refuse(text, node, "has no layer on either side of '/'")
    return lower / upper


def _call(text: str, node: ast.Call) -> Any:
    names = _names()
    if not isinstance(node.func, ast.Name):
        raise _refuse(text, node.func, "is not the name of a scapy layer")
    if node.func.id not in names:
        near = [name for name in names if name.lower() == node.func.id.lower()]
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise _refuse(text, node.func, f"is not the name of a scapy layer{hint}")
    target = names[node.func.id]
    arguments = [_value(text, argument) for argument in node.args]
    keywords: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise _refuse(text, keyword.value, "is spread with '**', which is not allowed")
        keywords[keyword.arg] = _value(text, keyword.value)
        _check_field(text, keyword, target, keywords[keyword.arg])
    if arguments and hasattr(target, "fields_desc"):
        raise _refuse(text, node, "gives a layer something that is not a keyword argument")
    try:
        return target(*arguments, **keywords)
    except Exception as error:  # scapy's constructors raise whatever their fields raise
        raise _refuse(text, node, f"is refused by scapy: {error}") from error


def _check_field(text: str, keyword: ast.keyword, layer: Any, value: Any) -> None:
    """Refuses unknown fields and malformed addresses: scapy would ask the name service about them, or send them."""
    from scapy.fields import IP6Field, IPField, MACField, StrField

    if not hasattr(layer, "fields_desc"):
        return
    fields = {field.name: field for field in layer.fields_desc}
    name = f"{layer.__name__}.{keyword.arg}"
    if keyword.arg not in fields:
        raise _refuse(
            text, keyword.value, f"is given to {name}, which does not exist (fields: {', '.join(fields)})"
        )
    field = fields[keyword.arg]
    field = getattr(field, "fld", field)
    for each in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(field, (IPField, IP6Field)) and isinstance(each, str):
            try:
                ipaddress.ip_network(each.partition("%")[0], strict=False)
            except ValueError as error:
                raise _refuse(
                    text, keyword.value, f"is no address or network for {name} ({error})"
                ) from error
        elif isinstance(field, MACField) and isinstance(each, (str, int)) and not _MAC.fullmatch(str(each)):
            raise _refuse(text, keyword.value, f"is no MAC address for {name}, as 02:00:00:00:00:01 is")
        elif isinstance(field, StrField) and isinstance(each, int):
            raise _refuse(text, keyword.value, f"is a number, and {name} takes a string or bytes")
