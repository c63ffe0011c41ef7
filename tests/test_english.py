# SPDX-License-Identifier: BSD-3-Clause
"""Words and forms that a reader has to read twice are not used in documents, help, messages, docstrings and comments.

A finding names file, line, the words and what to write instead. Code blocks, code spans and quoted text are left out: they
show what programs print. Docstrings and comments of all sources are checked, C comments included. They may be nouns.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FOLDERS = ("apps", "bench", "dataplane", "pmd", "tests")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

LONGEST = 45  # words in a sentence
NO_VERB = "a sentence without a verb"


@dataclass(frozen=True)
class Rule:
    """A form, what to write instead, and a sentence that has it (for the test of this test).

    A blank in the pattern matches any white space. A pattern that begins with "^" matches at the start of a sentence, and
    its case counts.
    """

    pattern: str
    instead: str
    example: str

    @property
    def regex(self) -> re.Pattern[str]:
        start = self.pattern.startswith("^")
        text = self.pattern.removeprefix("^").replace(" ", r"\s+")
        if start:
            return re.compile(
                rf"(?:(?<=[.!?:]\s)|(?<=^)|(?<=^- )|(?<=\*\* )|(?<=\| ))(?:{text})", re.MULTILINE
            )
        return re.compile(rf"\b(?:{text})\b", re.IGNORECASE)


RULES = (
    Rule("(?:some|no|any|every)body|whoever|whomever", "name the caller, the driver, the process or the function",
         "The wire does not see an address that nobody has."),
    Rule("(?:is|are|was|were|be|been|not|and) told|told (?:of|that|apart|it|them)", "reports, notifies, prints, returns",
         "The VF is told of a new address."),
    Rule("(?:is|are|would be) possible|what is possible", "the allowed values are, must be, expected",
         "From 10 to 10,000 are possible."),
    Rule("there (?:is|are) none|none there (?:is|are)", "say what does not exist: the port has no link",
         "It uses plain pages when there are none."),
    Rule("what it is of|what (?:it|they|each) (?:is|are) (?:of|for)", "name the thing", "It says what it is of."),
    Rule("(?:in|of|from|with) so many words|without a word", "explicitly, without a message",
         "A VF switches its queues off without a word."),
    Rule("(?:it|that|this|nothing) is said|was said|unless (?:it is )?said|not said", "is set, is given, is configured",
         "On unless it is said otherwise."),
    Rule("anew", "again, or restarts, reinitialises", "The VF begins anew."),
    Rule("all the same", "nevertheless, or leave it out", "It closes it all the same."),
    Rule("means? harm", "hostile", "A VF that means harm."),
    Rule("(?:is|are|gone or|a card|makes? (?:a|the) card) ill", "not responding, faulty", "The device is gone or ill."),
    Rule("lets? (?:it|them|that) be|let be", "ignores, accepts", "Strict lets it be."),
    Rule("(?:as|where) (?:one|it|they) likes?", "say what is allowed", "It is read and written as one likes."),
    Rule("has to spare|(?:least|most) to spare", "say how close it is to its limit", "What has the least to spare."),
    Rule("be (?:of )?no use|of no use|no concern of", "say what happens instead", "Another one would be no use to it."),
    Rule("looks? after (?:it|them)(?:self|selves)?", "handles, recovers, monitors", "A VF looks after itself."),
    Rule("(?:is|are) content with", "accepts, needs only", "It is content with an ordinary user."),
    Rule("in vain", "without a result: say which", "A stopped one is polled in vain."),
    Rule("sees? to it|see to (?:it|this|that)", "ensures", "These rules see to it."),
    Rule("what else", "name the things", "What else comes to it the PF decides."),
    Rule("without more|nothing else (?:has|does|is) to", "by default", "Without more, a wire joins both ports."),
    Rule("comes? up (?:as |with )?0x[0-9A-F]*", "its reset value is", "MAXFRS comes up 0x05EE0000."),
    Rule("for want of|lack of a better", "because there is no", "Frames dropped for want of descriptors."),
    Rule("(?:it|they|which|that|fields|files?|this) stands? (?:in|at|on|for|there)", "is in, is at, means",
         "The new value and where it stands in the file."),
    Rule("(?:is|are) the ones? who (?:is|has|have|are)", "name it", "It is the one who has the lock."),
    Rule("who (?:has|gets|got|owns|may|decided) (?:what|who)", "name both", "It compares who got what."),
    Rule("a try|at each try", "an attempt, a retry", "After each failure it gives it a try."),
    Rule("to be had", "available", "How it is to be had again."),
    Rule("there must be|one there must", "requires", "One there must be."),
    Rule("(?:goes?|sends?|comes?) nowhere", "is dropped", "The frame goes nowhere."),
    Rule("speaks? of|knows? (?:itself|nothing) (?:of|alone)", "uses, contains, supports", "Filters know nothing of IPv6."),
    Rule("that is (?:his|hers|theirs|ours to)", "name the owner", "The limit that is ours to set."),
    Rule("(?:no|without a) matter (?:of|for)", "say what it affects", "It is no matter of the driver."),
    Rule("likewise so|so (?:it is|is it|are they) with", "repeat the verb", "So it is with a trace."),
    Rule("^(?:Of|Among|Beside|Beneath) (?:what|those|these|this|that|all|each|a|an|the|its)", "begin with the subject",
         "Of what waits the last is enough."),
    Rule("^(?:In|On|From|With|To|By|At) (?:this|that|it|them|which) (?:the|a|an|its|each|all)", "begin with the subject",
         "In this the queue waits."),
    Rule("^(?:Of|In|On|From|With|Behind|Beside|To|For|By|At) (?:[a-z]+ ){1,4}(?:is|are|stands?|lies?|goes|comes?) "
         "(?:a|an|the|its|what|each|one)", "subject, verb, object", "Behind the seam is the model."),
    Rule("^(?:Not|Nor|Neither|Never|Nothing) (?:is|are|has|does|do|may|can|must|will) (?:a|an|the|it|its)", "subject first",
         "Never is a packet lost."),
    Rule(r"^What (?!(?:[^.|]|\.\d)*[?])(?:[^.|:?]|\.\d){1,120}[.,|]", "name the subject instead of a clause with what",
         "What the chip cannot send, the driver frees."),
    Rule("^Else|^Otherwise so", "otherwise", "Else it is refused."),
)  # fmt: skip

_VERB = re.compile(
    r"\b(?:"
    r"is|are|been|[a-z]{3,}(?:s|ed)|add|allow|apply|ask|assign|avoid|be|begin|bind|bound|break|bring|build|call|"
    r"came|can|cannot|change|check|choose|close|come|compare|compile|compute|configure|connect|contain|continue|"
    r"convert|copy|could|count|create|define|delete|describe|detect|did|differ|disable|disconnect|do|done|draw|"
    r"drive|drop|edit|enable|end|enter|exit|expect|explain|fail|fetch|fill|find|fit|follow|forget|forward|found|"
    r"free|gave|get|give|go|had|handle|has|have|hold|implement|import|include|insert|install|join|keep|kept|know|"
    r"last|leave|left|let|limit|list|load|lock|log|look|lose|lost|made|make|map|mark|match|may|mean|measure|meet|"
    r"might|move|must|name|need|note|obtain|open|pass|pay|play|plug|point|poll|press|prevent|print|provide|pull|"
    r"put|raise|ran|reach|read|rebuild|receive|record|reduce|refuse|reject|release|reload|remain|remove|repeat|"
    r"replace|report|request|require|reserve|reset|restart|restore|retry|return|rewrite|run|save|saw|say|see|seem|"
    r"select|send|sent|serve|set|share|should|show|skip|sleep|split|stand|start|state|stay|stop|store|strip|"
    r"submit|supply|support|survive|switch|take|tell|test|took|transmit|try|turn|undo|unplug|update|use|verify|"
    r"wait|wake|walk|was|went|were|will|work|would|write|wrote"
    r")\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"^(```.*?^```$|    [^\n]*$)", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`[^`\n]*`|(?<![\w`])\"[^\"\n]{1,200}\"|\]\([^)\s]*\)")
_BLOCK = re.compile(r"(?:^(?![|#\n])(?:[^\n]*\S[^\n]*)(?:\n(?![|#\n-])[^\n]*\S[^\n]*)*)", re.MULTILINE)
_SENTENCE = re.compile(r"[^.!?]+(?:[.!?](?!\s|$)[^.!?]*)*[.!?](?=\s|$)", re.DOTALL)


@dataclass(frozen=True)
class Finding:
    line: int
    words: str
    instead: str

    def __str__(self) -> str:
        return f"{self.line}: {' '.join(self.words.split())!r}: {self.instead}"


def prose(text: str) -> str:
    """The text with code, quotations and link targets blanked; every offset stays the same."""
    text = _CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return _SPAN.sub(lambda found: "`" + "x" * (len(found[0]) - 2) + "`", text)


def findings(text: str) -> Iterator[Finding]:
    """Everything in a page that is to be written otherwise."""
    plain = prose(text)

    def line(offset: int) -> int:
        return plain.count("\n", 0, offset) + 1

    for rule in RULES:
        for found in rule.regex.finditer(plain):
            yield Finding(line(found.start()), found[0], rule.instead)
    for block in _BLOCK.finditer(plain):
        for sentence in _SENTENCE.finditer(block[0]):
            at = line(block.start() + sentence.start() + len(sentence[0]) - len(sentence[0].lstrip()))
            words = sentence[0].removeprefix("- ").split()
            if len(words) > LONGEST:
                yield Finding(
                    at, " ".join(words[:6]), f"{len(words)} words in one sentence: at most {LONGEST}"
                )
            # A term with its explanation ("**mbuf**: 128 bytes") needs no verb.
            listed = re.match(r"\s*- [a-z`]", sentence[0])  # an entry that continues the line above its list
            if (
                len(words) > 2
                and not listed
                and "..." not in sentence[0]
                and ":" not in sentence[0]
                and not _VERB.search(sentence[0])
            ):
                yield Finding(at, " ".join(words), NO_VERB)


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.name if page.parent == ROOT else f"docs/{page.name}"
)
def test_a_page_is_plain(page: Path) -> None:
    found = [f"{page.relative_to(ROOT)}:{each}" for each in findings(page.read_text())]
    assert not found, "\n".join(found)


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _parsers(sub)


def help_texts(command: str) -> Iterator[str]:
    """Every description and help of a command's arguments, as sentences."""
    from dataplane.apps.command.cli import _parser

    for parser in _parsers(_parser([command])):
        yield from (text for text in (parser.description, parser.epilog) if text)
        for action in parser._actions:
            if action.help and action.help != argparse.SUPPRESS:
                yield action.help
            if isinstance(action, argparse._SubParsersAction):
                yield from (choice.help for choice in action._choices_actions if choice.help)


def test_help_is_plain() -> None:
    from dataplane.apps.command.cli import COMMANDS

    found = {
        f"dataplane {command} --help: {text!r}: {each.words!r}: {each.instead}"
        for command in COMMANDS
        for text in help_texts(command)
        for each in findings(text)
    }
    assert not found, "\n".join(sorted(found))


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Each text of a source file that has a blank, with its line. No docstrings; in Cython only errors on one line."""
    if path.suffix == ".pyx":
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if found := re.search(r'(?:Error|Gone)\(f?"(.*)"', line):
                yield number, re.sub(r"\{[^}]*\}", "`x`", found[1])
        return
    tree = ast.parse(path.read_text())
    passed = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    passed |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "`x`" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            text = node.value
        if " " in text:
            yield node.lineno, text


@pytest.mark.parametrize("folder", ["apps", "dataplane", "pmd"])
def test_messages_are_plain(folder: str) -> None:
    files = [path for kind in ("*.py", "*.pyx") for path in (ROOT / folder).rglob(kind)]
    assert len(files) > 20
    found = [
        f"{path.relative_to(ROOT)}:{Finding(line, hit[0], rule.instead)}"
        for path in files
        for line, text in messages(path)
        for rule in RULES
        if (hit := rule.regex.search(text))
    ]
    assert not found, "\n".join(found)


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Each docstring of a source file, with its line. Its lines begin at the margin, as those of a page do."""
    text = path.read_text()
    for found in re.finditer(r'^ *r?"""(.*?)"""', text, re.DOTALL | re.MULTILINE):
        if re.search(r"\bextern from [^\n]*:\n$", text[: found.start()]):
            continue  # C code
        yield text.count("\n", 0, found.start()) + 1, re.sub(r"^ +", "", found[1], flags=re.MULTILINE)


def sources(*folders: str, c: bool = False) -> Iterator[Path]:
    """The sources of this repository, without the links to folders. c: also those in C, but for what Cython writes."""
    suffixes = (".py", ".pyx", ".pxd", ".pyi", *((".c", ".h") if c else ()))
    for folder in folders or FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            linked = {"dataplane/apps", "dataplane/pmd"} & {
                str(each.relative_to(ROOT)) for each in path.parents if each >= ROOT
            }
            made = path.suffix == ".c" and path.with_suffix(".pyx").exists()
            if path.suffix in suffixes and not linked and not made:
                yield path


def plain_docstrings(path: Path) -> list[str]:
    """The findings in the docstrings of a file. A docstring may be a noun: "The port's name."."""
    return [
        f"{path.relative_to(ROOT)}:{line + each.line - 1}: {each.words!r}: {each.instead}"
        for line, text in docstrings(path)
        for each in findings(text)
        if each.instead != NO_VERB
    ]


def test_docstrings_are_plain() -> None:
    files = list(sources())
    assert len(files) > 600
    found = [each for path in files for each in plain_docstrings(path)]
    assert not found, "\n".join(found)


_STRING = r"""\"{3}(?:.|\n)*?\"{3}|'{3}(?:.|\n)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""
_COMMENT = {
    "python": re.compile(rf"{_STRING}|(?P<comment>#[^\n]*(?:\n[ \t]*#[^\n]*)*)"),
    "c": re.compile(rf"{_STRING}|(?P<comment>/\*(?:.|\n)*?\*/|//[^\n]*(?:\n[ \t]*//[^\n]*)*)"),
}
_MARK = re.compile(r"^[ \t]*(?:#+|//+|/\*+|\*(?!/)) ?|[ \t]*\*/$", re.MULTILINE)


def comments(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Each comment of a source text, with its line. Comments on lines that follow each other are one text."""
    for found in _COMMENT[language].finditer(text):
        if found["comment"]:
            plain = _MARK.sub("", found["comment"])
            if not re.match(r"(?:of|in|on|from|with|to|by|at) ", plain):  # "in bytes" behind a field is plain
                plain = plain[:1].upper() + plain[1:]
            yield text.count("\n", 0, found.start()) + 1, plain


def plain_comments(path: Path) -> list[str]:
    """The findings in the comments of a file. A comment may be a noun: "# bytes without FCS"."""
    language = "c" if path.suffix in (".c", ".h") else "python"
    return [
        f"{path.relative_to(ROOT)}:{line + each.line - 1}: {each.words!r}: {each.instead}"
        for line, text in comments(path.read_text(), language)
        for each in findings(text)
        if each.instead != NO_VERB
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_comments_are_plain(folder: str) -> None:
    found = [each for path in sources(folder, c=True) for each in plain_comments(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.example)
def test_each_rule_finds_its_example(rule: Rule) -> None:
    assert rule.regex.search(rule.example)
    assert any(each.instead == rule.instead for each in findings(f"# Title\n\nA page. {rule.example}\n"))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The caller owns the packets.\n", 0),
        ("An error like `nobody is told` is quoted.\n", 0),
        ('The log has "nobody is told" then.\n', 0),
        ("```\nnobody is told\n```\n", 0),
        ("| message | nobody |\n| --- | --- |\n", 1),
        ("The address that no\nbody has is free, and whoever asks\nis told.\n", 2),
        ("- An app.\n\nNo namespace, no kernel module.\n", 1),
        ("- **mbuf**: 128 bytes.\n", 0),
        ("The run " + "and the run " * 20 + "ends.\n", 1),
    ],
)
def test_what_counts_as_a_finding(text: str, count: int) -> None:
    assert len(list(findings(text))) == count, [str(each) for each in findings(text)]


def test_a_finding_names_its_line() -> None:
    (found,) = findings("# Title\n\nIt has one line.\nThe next one: nobody reads it.\n")
    assert found.line == 4 and found.words == "nobody"


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("x = 1  # nobody reads it\n", "python", ["Nobody reads it"]),
        ("# of the queue\n# that waits\ny = 2\n", "python", ["of the queue\nthat waits"]),
        ("x = 'a # b' + \"# c\"  # d\n", "python", ["D"]),
        ('def f():\n    """No # comment."""\n    # One.\n\n    # Two.\n', "python", ["One.", "Two."]),
        (
            "x = \"it's\" # an apostrophe isn't a quote\n# next\n",
            "python",
            ["An apostrophe isn't a quote\nnext"],
        ),
        ("/* Two\n * lines. */ int x; /* z */\n", "c", ["Two\nlines.", "Z"]),
        ('int x; // that\'s it\n// and on\nchar *s = "/* no */";\n', "c", ["That's it\nand on"]),
    ],
)
def test_comments_are_found(text: str, language: str, found: list[str]) -> None:
    assert [plain for _, plain in comments(text, language)] == found


def test_every_page_is_checked() -> None:
    assert len(PAGES) > 15
