#!/usr/bin/env python3
"""Check that each end-to-end suite says what it needs, and find the tests with a tag.

usage: Tests/Tidy/tags.py [--filter TAG | --list]

Without arguments: exit status 1 and one line each for an end-to-end suite without a tag, and for
a tag that is declared and nowhere used. --filter prints the regular expression for
`swift test --filter` that matches the suites and tests with the tag, as this Swift's own
`--filter tag:NAME` is younger. --list prints each tag with what it means.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECLARED = re.compile(r"((?: *///.*\n)+) *@Tag \w+ static var (\w+)")
MARK = re.compile(r"@(Suite|Test)\b(?=\s*(\()?)")
NAME = re.compile(r"\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:\w+\s+)*?(?:struct|enum|class|actor|func)\s+(\w+)")


def declared():
    """Each tag, and the first line of its comment."""
    text = (ROOT / "Tests/TestTags/Tags.swift").read_text()
    return {name: re.sub(r"\s*///\s*", " ", comment).strip()
            for comment, name in DECLARED.findall(text)}


def marked():
    """(file, line, "Suite" or "Test", its name, its tags) of every suite and test."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "Tests/*.swift"], check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_text()
        for match in MARK.finditer(text):
            end, depth = match.end(), 0
            while match[2] and end < len(text):
                depth += {"(": 1, ")": -1}.get(text[end], 0)
                end += 1
                if depth == 0 and text[end - 1] == ")":
                    break
            found = NAME.match(text, end)
            if found:
                tags = re.search(r"\.tags\(([^)]*)\)", text[match.end():end])
                yield (name, text.count("\n", 0, match.start()) + 1, match[1], found[1],
                       re.findall(r"\.(\w+)", tags[1]) if tags else [])


def main():
    tags = declared()
    if sys.argv[1:2] == ["--list"]:
        for name, meaning in tags.items():
            print(f"tag:{name}|{meaning}")
        return
    if sys.argv[1:2] == ["--filter"]:
        # As swift test names them: Module.Suite/Suite/test(). A suite's tags are its tests' too.
        found = [rf"[./]{name}/" if kind == "Suite" else rf"/{name}\("
                 for _, _, kind, name, carried in marked() if sys.argv[2] in carried]
        if not found:
            sys.exit(f"no test has a tag {sys.argv[2]}; there are {', '.join(tags)}")
        print("|".join(sorted(set(found))))
        return
    found, used = [], set()
    for path, line, kind, name, carried in marked():
        used.update(carried)
        if kind == "Suite" and path.startswith("Tests/EndToEndTests/Cases/") and not carried:
            found.append(f"{path}:{line}: the suite {name} has no tag that says what it needs")
    found += [f"Tests/TestTags/Tags.swift: no test has the tag {name}" for name in set(tags) - used]
    print(*sorted(found), sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


main()
