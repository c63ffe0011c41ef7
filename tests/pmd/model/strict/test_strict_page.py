# SPDX-License-Identifier: BSD-3-Clause
"""docs/strict.md lists every rule and every fault that there is, and none that there is not."""

import re
from pathlib import Path

from dataplane.pmd.model.fault import FAULTS_AT_BRINGUP
from dataplane.pmd.model.state.violation import VIOLATIONS as SEEN
from dataplane.pmd.model.strict.rules import VIOLATIONS

PAGE = (Path(__file__).parents[4] / "docs" / "strict.md").read_text()


def rows(pattern):
    return {match.group(0) for match in re.finditer(pattern, PAGE, re.MULTILINE)}


def test_rules():
    told = rows(r"^\| .* \| `[a-z-]+` \| [A-Z0-9_, ]+ \| [^|]+ \| [0-9., ]+ \|$")
    there = {
        f"| {rule.rule} | `{rule.name}` | {', '.join(line.name for line in rule.registers)} | {rule.when} "
        f"| {rule.section} |"
        for rule in VIOLATIONS
    }
    assert told == there


def test_what_the_data_path_sees():
    section = PAGE.partition("## Seen by the data path")[2].partition("\n## ")[0]
    told = {line for line in section.splitlines() if line.startswith("| ")} - {
        "| what | register | section |"
    }
    there = set()
    for register, section, text in SEEN:
        plain = re.sub(r" \((upper word |lengths )?\{value[^)]*\)", "", text)
        plain = plain.replace("{index}", "n").replace("{value}", "v")
        there.add(f"| {plain} | {register} | {section} |")
    assert told - {"| --- | --- | --- |"} == there


def test_faults():
    told = rows(r"^\| `[a-z-]+` \| .* \|$")
    assert told == {
        f"| `{each.name}` | {each.what} | {each.register} | {each.section} |" for each in FAULTS_AT_BRINGUP
    }
