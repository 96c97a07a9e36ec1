#!/usr/bin/env python3
"""Look for what a change left behind: links in the docs that lead nowhere, commands and
tests in the docs that do not exist, and declarations that nothing uses.

usage: Tests/Tidy/tidy.py [--floe PROGRAM]

Exit status 1 and one line each when something is found. PROGRAM (a built floe) is asked for
its commands and options; without it those in the docs are not looked at.
"""

import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What another module's protocol asks for, and no line here names.
CALLED_BY_OTHERS = {
    "OutboundIn", "OutboundOut", "handlerRemoved", "createBuildCommands", "configuration",
    "provideScope", "allValueStrings",
}
USED_BY_FRAMEWORKS = {"@Test", "@Suite", "@main", "@_cdecl"}
DECLARATION = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|private|fileprivate|static|final"
    r"|mutating|nonisolated|indirect|lazy|weak|unowned|private\(set\)|package\(set\)"
    r"|public\(set\))\s+)*(func|var|let|struct|class|enum|actor|protocol|typealias)\s+`?(\w+)")


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", *patterns], check=True, capture_output=True)
    paths = [pathlib.Path(name) for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if (ROOT / path).is_file()]


def anchors(text):
    """The anchors of a Markdown text's headings, as its viewers make them."""
    made = set()
    for heading in re.findall(r"^#+\s+(.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M):
        heading = re.sub(r"[`*_]|\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        made.add(re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-"))
    return made


def dead_links(documents):
    for document in documents:
        text = re.sub(r"```.*?```", "", (ROOT / document).read_text(), flags=re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (ROOT / document.parent / path) if path else ROOT / document
            if not target.exists():
                yield f"{document}: the link {link} leads nowhere"
            elif anchor and anchor not in anchors(target.read_text()):
                yield f"{document}: {link} names no heading of that page"


def dead_paths(documents):
    """Names of files in backquotes that are not there. A line of its own names one that the
    reader is to make."""
    tops = "Sources|Tests|docs|mount-scripts|Benchmarks|\\.ci"
    for document in documents:
        text = re.sub(r"^`[^`\n]+`:$", "", (ROOT / document).read_text(), flags=re.M)
        for path in re.findall(rf"`((?:{tops})/[\w./+*-]+)", text):
            path = path.rstrip(".")
            ignored = subprocess.run(["git", "-C", ROOT, "check-ignore", "-q", path]).returncode == 0
            if not any(ROOT.glob(path)) and not ignored:
                yield f"{document}: there is no {path}"


def dead_tests(documents):
    """Tests that a document names by file and function, `XTests.function`, and that are not there."""
    homes = {}
    for path in tracked("Tests/*.swift"):
        homes.setdefault(path.stem.split("+")[0], []).append((ROOT / path).read_text())
    # A folder of tests, and a suite in a file of another name.
    folders = {path.parts[1] for path in tracked("Tests/*Tests/*")}
    suites = set(re.findall(r"struct (\w+Tests)\b", "".join(sum(homes.values(), []))))
    for document in documents:
        for name, function in re.findall(
                r"`(?:[\w/]+/)?([A-Z]\w*Tests)(?:\.(?!swift)(\w+))?`", (ROOT / document).read_text()):
            if name not in homes and name not in folders | suites and name != "XTests":
                yield f"{document}: there are no tests {name}"
            elif function and not any(re.search(rf"func {function}\b", text)
                                      for text in homes.get(name, [])):
                yield f"{document}: {name} has no test {function}"


def dead_commands(documents, floe):
    """Commands `floe COMMAND` and options of theirs that the program does not have."""
    def asked(*words):
        return subprocess.run([floe, *words], capture_output=True, text=True).stdout

    commands = set(re.findall(r"^  ([a-z-]+) ", asked("--help"), re.M)) | {"help"}
    options = {
        name: set(re.findall(r"--[a-z-]+", asked(name, "--help"))) | {"--help", "--version"}
        for name in commands
    }
    for document in documents:
        text = (ROOT / document).read_text()
        for line in re.findall(r"`([^`\n]+)`", text) + re.findall(r"^[#$] (.*)$", text, re.M):
            words = line.split("  #")[0].split()
            if len(words) < 2 or words[0] != "floe" or not re.fullmatch("[a-z-]+", words[1]):
                continue
            if words[1] not in commands:
                yield f"{document}: floe has no command {words[1]}"
                continue
            for word in words[2:]:
                option = re.match(r"--[a-z-]+", word)
                if option and option[0] not in options[words[1]]:
                    yield f"{document}: floe {words[1]} has no option {option[0]}"


def without_attributes(text):
    """The text with the arguments of every attribute taken out, its lines kept. What an
    attribute of a test or of the command line marks is used by that framework: its
    declaration is taken out as well."""
    kept, at = [], 0
    for match in re.finditer(r"@\w+", text):
        if match.start() < at:
            continue
        end = match.end()
        if text[end:end + 1] == "(":
            depth = 0
            for end in range(end, len(text)):
                depth += {"(": 1, ")": -1}.get(text[end], 0)
                if depth == 0:
                    break
            end += 1
        if match[0] in USED_BY_FRAMEWORKS:
            end += len(re.match(r"\s*(@\w+\s+)*[^\n{=]*", text[end:])[0])
        kept += [text[at:match.start()], "\n" * text.count("\n", match.start(), end)]
        at = end
    return "".join(kept) + text[at:]


def dead_declarations(sources):
    """Names that are declared and stand nowhere else, comments aside."""
    bare, count = {}, {}
    for path in sources:
        bare[path] = re.sub(r"//.*", "", (ROOT / path).read_text(errors="replace"))
        for word in re.findall(r"\w+", bare[path]):
            count[word] = count.get(word, 0) + 1
    for path, text in bare.items():
        if path.suffix != ".swift" or "Generated" in path.parts:
            continue
        for number, line in enumerate(without_attributes(text).splitlines(), 1):
            match = DECLARATION.match(line)
            if match and count.get(match[2], 0) == 1 and match[2] not in CALLED_BY_OTHERS:
                yield f"{path}:{number}: nothing uses {match[1]} {match[2]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--floe", help="a built floe, asked for its commands and options")
    arguments = parser.parse_args()
    documents = tracked("*.md")
    found = [
        *dead_links(documents), *dead_paths(documents), *dead_tests(documents),
        *dead_declarations(tracked("Sources/*", "Tests/*", "Benchmarks/*")),
    ]
    if arguments.floe:
        found += dead_commands(documents, arguments.floe)
    for line in sorted(set(found)):
        print(line)
    sys.exit(1 if found else 0)


main()
