# SPDX-License-Identifier: BSD-3-Clause
"""Adds up CI's reports and prints the closing line. ``summary.py FOLDER``: steps.tsv and one JUnit file for each pytest run.

A skip is a failure unless its reason is one that stands in ALLOWED for the kind of run it happened in, and, where root runs
CI, the test has passed in another run.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

# A piece of the report's name -> reasons for which a test may be skipped in that run.
ALLOWED = {
    "plain": [r"needs \d* ?(free )?hugepages"],
    "user": [r"needs root"],
    "root": [r"needs an ordinary user"],
}

LINES, WIDTH = 8, 300  # of what is told of a failed test


def allowed(report: str, reason: str) -> bool:
    """Whether a test may have been skipped for that reason in that run."""
    reasons = [pattern for piece, patterns in ALLOWED.items() if piece in report for pattern in patterns]
    return any(re.search(pattern, reason) for pattern in reasons)


def story(fault: ElementTree.Element) -> str:
    """Why a test failed, in few lines: what pytest marked with E, where it was raised, and the message."""
    lines = (fault.text or "").splitlines()
    marked = [line for line in lines if re.match(r"E  |[\w/.-]+\.py:\d+: ", line)]
    found = marked[-LINES:] or (fault.get("message") or "").splitlines()[:LINES]
    return "\n".join(f"          {line[:WIDTH]}" for line in found)


def main(folder: Path) -> int:
    passed = failed = 0
    ran: set[str] = set()
    skips: dict[str, list[str]] = {}  # by test: where it was skipped for a reason that is allowed, and why
    for line in (folder / "steps.tsv").read_text().splitlines():
        name, status, seconds = line.split("\t")
        print(f"{'ok' if status == '0' else 'FAILED':<7} {seconds:>5} s  {name}")
        passed += status == "0"
        failed += status != "0"
    missing = folder / "missing.txt"
    if missing.exists():
        print(missing.read_text().strip())
        failed += 1
    for report in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            test = f"{case.get('classname')}.{case.get('name')}"
            name = f"{report.stem}: {test}"
            skip = case.find("skipped")
            fault = case.find("failure")
            if fault is None:
                fault = case.find("error")
            if fault is not None:
                print(f"FAILED  {name}\n{story(fault)}")
                failed += 1
            elif skip is not None and not allowed(report.stem, skip.get("message", "")):
                print(f"SKIPPED {name}: {skip.get('message')}: it could have run here")
                failed += 1
            elif skip is not None:
                skips.setdefault(test, []).append(f"{report.stem} {skip.get('message')}")
            else:
                passed += 1
                ran.add(test)
    as_root = any("root" in report.stem for report in folder.glob("*.xml"))
    for test in sorted(skips.keys() - ran) if as_root else ():
        print(f"SKIPPED {test} in every run: {'; '.join(skips[test])}")
        failed += 1
    skipped = sum(map(len, skips.values()))
    if not passed:
        print("nothing ran")
        failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
