#!/usr/bin/env python3
"""Compare the house with its plan: the picture in docs/ARCHITECTURE.md with the package's own
description of its targets, the folders of each target with each other, and the sizes of files
and functions with what fits in a head.

usage: Tests/Tidy/architecture.py [--package FILE]

Exit status 1 and one line each when something is found. FILE is the JSON of
`swift package describe --type json`; without it the command is run.
"""

import argparse
import collections
import itertools
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs/ARCHITECTURE.md"
FILE_LINES = 350
FUNCTION_LINES = 60
GENERATED = "Generated"
TYPE = re.compile(
    r"^(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private|final|indirect)\s+)*"
    r"(?:struct|class|enum|actor|protocol|typealias)\s+(\w+)", re.M)
FUNCTION = re.compile(
    r"^[ \t]*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private|static|final"
    r"|mutating|override|convenience|required|nonisolated)\s+)*(?:func\s+(\S+?)(?=[(<])|(init)[?]?(?=[(<]))",
    re.M)
# Comments, then strings: raw and multi-line ones before plain ones.
SILENT = re.compile(
    r'//[^\n]*|/\*.*?\*/|#"""?.*?"""?#|"""(?:\\.|.)*?"""|"(?:\\\((?:[^()"]|"[^"]*"|\([^()]*\))*\)|\\.|[^"\\\n])*"',
    re.S)


def bare(text):
    """The text without comments and strings, its lines kept."""
    return SILENT.sub(lambda match: "\n" * match[0].count("\n"), text)


def reach(arrows):
    """Every pair that arrows lead from and to, over any number of them."""
    found = set()
    for name in list(arrows):
        left = list(arrows[name])
        while left:
            below = left.pop()
            if (name, below) not in found:
                found.add((name, below))
                left += arrows.get(below, ())
    return found


def picture():
    """The arrows of the first picture: `A ──▶ B, C ──▶ D   what it is`."""
    arrows = collections.defaultdict(set)
    name = None
    for line in re.search(r"```\n(.*?)```", PICTURE.read_text(), re.S)[1].splitlines():
        drawn = re.split(r"\s*──▶\s*", re.split(r"(?<=\w) {3,}(?=\w)", line)[0].rstrip())
        name = drawn[0].strip() or name
        above = [name]
        for part in drawn[1:]:
            below = re.split(r",\s*", part)
            for pair in itertools.product(above, below):
                arrows[pair[0]].add(pair[1])
            above = below
    return arrows


def package(description):
    """The arrows between the package's own targets under Sources."""
    targets = [target for target in description["targets"]
               if target["path"].startswith("Sources/") and target["type"] != "plugin"]
    names = {target["name"] for target in targets}
    return {target["name"]: names & set(target.get("target_dependencies", ()))
            for target in targets}


def wrong_arrows(description):
    drawn, real = picture(), package(description)
    names = set(real)
    for name in sorted(names - set(drawn) - {below for every in drawn.values() for below in every}):
        yield f"docs/ARCHITECTURE.md: the picture has no {name}"
    for above, below in sorted(reach(real) - reach(drawn)):
        yield f"docs/ARCHITECTURE.md: {above} depends on {below}, which the picture does not show"
    for above, below in sorted(reach(drawn) - reach(real)):
        yield f"docs/ARCHITECTURE.md: {above} does not depend on {below}, as the picture has it"


def circles(target):
    """Folders of a target that need each other's types, by the names of these."""
    folder, text = {}, {}
    top = ROOT / target["path"]
    for path in sorted(top.rglob("*.swift")):
        parts = path.relative_to(top).parts
        if GENERATED not in parts:
            folder[path] = parts[0] if len(parts) > 1 else "."
            text[path] = bare(path.read_text())
    homes = collections.defaultdict(set)
    for path, source in text.items():
        for name in TYPE.findall(source):
            homes[name].add(folder[path])
    needs = collections.defaultdict(dict)
    for path, source in text.items():
        for name in sorted(set(re.findall(r"\b[A-Z]\w*", source))):
            # A name that several folders declare is each one's own.
            if len(homes.get(name, ())) == 1 and folder[path] not in homes[name]:
                needs[folder[path]].setdefault(*homes[name], f"{name} in {path.name}")
    reached = reach(needs)
    for one, other in itertools.combinations(sorted(needs), 2):
        if {(one, other), (other, one)} <= reached:
            why = [f"{above} needs {below} ({needs[above][below]})"
                   for above, below in ((one, other), (other, one)) if below in needs[above]]
            # Where neither needs the other by itself, other lines tell the way.
            if why:
                yield f"{target['path']}: the folders {one} and {other} are in a circle: {'; '.join(why)}"


def sizes():
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "Sources/*.swift", "Tests/*.swift"], check=True,
        capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if not path.is_file() or GENERATED in path.parts:
            continue
        text = path.read_text()
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield f"{name}: {lines} lines, where {FILE_LINES} are the most"
        yield from long_functions(name, bare(text))


def long_functions(name, text):
    for match in FUNCTION.finditer(text):
        depth, start = 0, None
        for at in range(match.end(), len(text)):
            letter = text[at]
            if letter in "([":
                depth += 1
            elif letter in ")]":
                depth -= 1
            elif letter == "{" and depth == 0:
                start = at
                break
            elif letter in "};" and depth == 0:
                break
            elif letter == "\n" and depth == 0 and re.match(r"\s*(///|@|func|var|let|init|case|\n|})",
                                                          text[at:]):
                break
        if start is None:
            continue
        braces = 0
        for end in range(start, len(text)):
            braces += {"{": 1, "}": -1}.get(text[end], 0)
            if braces == 0:
                break
        lines = text.count("\n", match.start(), end) + 1 - match[0].count("\n")
        if lines > FUNCTION_LINES:
            number = text.count("\n", 0, match.end()) + 1
            yield (f"{name}:{number}: {match[1] or match[2]} has {lines} lines, where "
                   f"{FUNCTION_LINES} are the most")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--package", help="the package's description as JSON")
    arguments = parser.parse_args()
    if arguments.package:
        text = pathlib.Path(arguments.package).read_text()
    else:
        text = subprocess.run(
            ["swift", "package", "describe", "--type", "json"], cwd=ROOT, check=True,
            capture_output=True, text=True).stdout
    description = json.loads(text)
    found = [*wrong_arrows(description), *sizes()]
    for target in description["targets"]:
        if target["path"].startswith("Sources/"):
            found += circles(target)
    for line in sorted(set(found)):
        print(line)
    sys.exit(1 if found else 0)


main()
