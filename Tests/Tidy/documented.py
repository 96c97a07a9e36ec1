#!/usr/bin/env python3
"""List public and package declarations without a doc comment, and those that throw an error of
no stated type and do not say which.

usage: Tests/Tidy/documented.py

Exit status 1 and one line each when something is found. Looked at are types, functions,
initializers, subscripts and properties in Sources, and what a public or package protocol asks
for. A comment `///` stands directly above, attributes between. Cases of an enumeration are their
type's matter. Exempt are generated code, overrides, operators, initializers that do nothing
but set the properties that their parameters name, and what a protocol asks for whose
declaration says it already: one of floe's that the type names, or one of WITNESSES.
"""

import itertools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODIFIER = (r"(?:public|package|internal|private|fileprivate|static|class|final|mutating|nonmutating"
            r"|nonisolated|indirect|lazy|weak|unowned|override|convenience|required|borrowing|consuming"
            r"|(?:private|package|public|internal|fileprivate)\(set\))")
DECLARATION = re.compile(
    rf"^(\s*)((?:@\w+(?:\([^)]*\))?\s+)*)((?:{MODIFIER}\s+)*)"
    r"(func|var|let|struct|class|enum|actor|protocol|typealias|associatedtype|init|subscript|extension)"
    r"\b[?]?\s*([^\s(<:{=,]*)")
TYPE = re.compile(r"^\s*(?:@\w+\s+)*(?:" + MODIFIER + r"\s+)*(?:struct|class|enum|actor|extension|protocol)\s+"
                  r"([\w.]+)(?:<[^>]*>)?\s*:([^{]*)\{", re.M)
# Asked for by protocols of the standard library and of packages.
WITNESSES = {
    "description", "debugDescription", "errorDescription", "hash", "encode", "id", "rawValue", "next",
    "makeIterator", "configuration", "run", "validate", "Element",
}


def files():
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "Sources/*.swift"], check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and "Generated" not in path.parts:
            yield name, path.read_text().splitlines()


def declarations(lines):
    """(line number, indent, modifiers, kind, name, the outer protocol's modifiers or None)."""
    outer = []
    for number, line in enumerate(lines):
        match = DECLARATION.match(line)
        if not match or line.lstrip().startswith("//"):
            continue
        indent, _, modifiers, kind, name = match.groups()
        while outer and outer[-1][0] >= len(indent):
            outer.pop()
        around = outer[-1] if outer else (0, "", "", "")
        yield number, modifiers.split(), kind, name or kind, around
        if kind in ("struct", "class", "enum", "actor", "protocol", "extension") and "}" not in line:
            outer.append((len(indent), kind, modifiers.split(), name))
        elif kind in ("func", "init", "subscript") or line.rstrip().endswith("{"):
            outer.append((len(indent), "body", [], name))


def only_sets(lines, number):
    """Whether the initializer that begins there does nothing but `self.each = each`."""
    if "}" in lines[number]:
        text = lines[number]
    else:
        last = re.match(r"\s*", lines[number])[0] + "}"
        text = "\n".join(itertools.takewhile(lambda line: line != last, lines[number:])) + last
    body = re.search(r"\{([^{]*)\}", text)
    return body and all(re.fullmatch(r"|self\.(\w+) = \1", line.strip())
                        for line in re.split(r"[\n;]", body[1].strip()))


def comment(lines, number):
    """The doc comment above a declaration."""
    while number > 0 and re.match(r"\s*(///|@\w+|#if |#else|// swift-format)", lines[number - 1]):
        number -= 1
        if lines[number].lstrip().startswith("///"):
            yield lines[number]


def throws_anything(lines, number):
    """Whether the function that begins there is declared with `throws` alone."""
    text = "\n".join(lines[number:number + 12])
    depth, at = 0, text.find("(")
    for at in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            break
    return re.match(r"\s*(async\s+)?throws\b(?!\()", text[at + 1:])


def visible(modifiers):
    return "public" in modifiers or "package" in modifiers


def requirements(every):
    """For each type that names protocols of floe's: what these ask for."""
    asked, named = {}, {}
    for _, lines in every:
        for _, _, kind, name, around in declarations(lines):
            if around[1] == "protocol":
                asked.setdefault(around[3].split(".")[-1], set()).add(name)
        for name, protocols in TYPE.findall("\n".join(lines)):
            named.setdefault(name.split(".")[-1], set()).update(re.findall(r"\w+", protocols))
    for _ in named:  # Protocols of protocols; ends at once, as these are few.
        before = sum(map(len, named.values()))
        for protocols in named.values():
            protocols.update(*(named.get(each, ()) for each in list(protocols)))
        if before == sum(map(len, named.values())):
            break
    return {name: set().union(*(asked.get(each, ()) for each in protocols))
            for name, protocols in named.items()}


def undocumented(lines, asked):
    for number, modifiers, kind, name, around in declarations(lines):
        if kind == "extension" or around[1] == "body" or "override" in modifiers:
            continue
        if "init(from decoder" in lines[number] or (kind == "func" and name == kind) or (
                kind == "init" and only_sets(lines, number)):
            continue
        if around[1] == "protocol":
            shown = visible(around[2])
        else:
            shown = visible(modifiers) or (around[1] == "extension" and visible(around[2])
                                           and not {"private", "fileprivate"} & set(modifiers))
            shown = shown and name not in WITNESSES | asked.get(around[3].split(".")[-1], set())
        if shown and not any(comment(lines, number)):
            yield number + 1, kind, name, "has no doc comment"
        elif shown and kind in ("func", "init") and throws_anything(lines, number) and not re.search(
                "throws|refuse", " ".join(comment(lines, number)), re.I):
            yield number + 1, kind, name, "throws, and its doc comment does not say what"


def main():
    every = list(files())
    asked = requirements(every)
    found = [f"{path}:{number}: {kind} {name} {what}"
             for path, lines in every for number, kind, name, what in undocumented(lines, asked)]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


main()
