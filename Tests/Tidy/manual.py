#!/usr/bin/env python3
"""Compare the manual page with what the program says of itself.

usage: Tests/Tidy/manual.py [PROGRAM]

Exit status 1 and one line each when something is found. PROGRAM is a built floe
(.build/debug/floe). Compared are the commands, each command's options in `--help` with those of
its synopsis, and the options of all commands with those that the page describes. Without the
program nothing is compared, and the check says so; with CI=true that is an error.
"""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = "docs/man/floe.1"
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z0-9-]*")
# Every command has them, and the page says so once or not at all.
COMMON = {"--version", "--help", "-h"}
# Of other programs that the page names.
FOREIGN = {"--unfreeze", "-t", "--from0", "--no-recursion", "--files-from", "-path", "-s", "-pr", "-verify", "-signature", "-sha256",
           "--ignore-times", "--readonly", "-all", "-a"}


def page():
    """The synopsis of each command, and the text below the synopsis, without troff's marks."""
    text = (ROOT / PAGE).read_text().replace(r"\-", "-")
    # A macro that changes fonts joins its words: .BR --pv " PATH"
    text = re.sub(r"\\f[BRIP]", "", text)
    synopsis, body = re.search(r"\.SH SYNOPSIS\n(.*?)\n(\.SH .*)", text, re.S).groups()
    commands = {}
    name = None
    for line in synopsis.splitlines():
        match = re.match(r"floe ([a-z]+)", line)
        name = match[1] if match else name
        if name and not line.startswith("."):
            commands[name] = commands.get(name, "") + " " + line
    return commands, body


def asked(program, *words):
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


def options(text):
    """Each option of a command's --help, with its other names."""
    listed = re.search(r"^OPTIONS:\n(.*)", text, re.S | re.M)[1]
    found = [set(OPTION.findall(line)) for line in re.findall(r"^  (-\S.*?)(?:  |$)", listed, re.M)]
    return [names - COMMON for names in found if names - COMMON]


def compare(program):
    synopses, body = page()
    described = set(OPTION.findall(body))
    commands = re.findall(r"^  ([a-z]+) ", asked(program, "--help").split("SUBCOMMANDS:")[1], re.M)
    for name in sorted(set(commands) ^ set(synopses)):
        where = PAGE if name in synopses else "floe --help"
        yield f"{where}: only there is a command {name}"
    every = set()
    for name in sorted(set(commands) & set(synopses)):
        help_options = options(asked(program, name, "--help"))
        known = set().union(*help_options)
        every |= known
        shown = set(OPTION.findall(synopses[name]))
        for names in help_options:
            if not names & shown:
                yield f"{PAGE}: the synopsis of {name} has no {'/'.join(sorted(names))}"
            if not names & described:
                yield f"{PAGE}: nothing describes {'/'.join(sorted(names))} of {name}"
        for option in sorted(shown - known):
            yield f"{PAGE}: the synopsis of {name} has {option}, which floe {name} --help has not"
    for option in sorted(described - every - COMMON - FOREIGN):
        yield f"{PAGE}: {option} is described, and no command has it"


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".build/debug/floe")
    if not os.access(program, os.X_OK):
        print(f"SKIPPED: the manual page is compared with a built floe, and {program} is none")
        sys.exit(1 if os.environ.get("CI") == "true" else 0)
    found = sorted(set(compare(program)))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


main()
