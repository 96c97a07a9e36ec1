#!/usr/bin/env python3
"""Do what a page of the documentation says, to the letter, in a copy of the package.

usage: Tests/Walkthrough/follow.py [PAGE]

PAGE (docs/ADDING-A-PROVIDER.md unless named) is read from top to bottom:

- a block of Swift after a line with a path alone becomes the file of that path;
- a block "diff" is applied as a patch, wherever its lines are found now;
- blocks "sh" are run by one shell, in the order of the page, and none may fail.

The copy is an overlay at the package's own place in a mount namespace of this process: what
is built already is not built again, and of what is written nothing is left. That needs root.
Exit status 1 when the page does not work as it is printed.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:^`(?P<path>[^`\n]+)`:\n\n)?^```(?P<kind>swift|diff|sh)\n(?P<text>.*?)^```$",
                   re.M | re.S)


def run(*command, **more):
    subprocess.run(command, check=True, **more)


def use_copy(scratch):
    """Has this process, which has a mount namespace of its own, see a copy of the package."""
    # What is written is little: it fits in memory, where an overlay may write on any host.
    run("mount", "-t", "tmpfs", "-o", "mode=700", "none", scratch)
    for name in ("upper", "work", "tmp"):
        (scratch / name).mkdir()
    run("mount", "-t", "overlay", "overlay", "-o",
        f"lowerdir={ROOT},upperdir={scratch}/upper,workdir={scratch}/work", ROOT)
    # The directory below is the old one until it is looked up anew.
    os.chdir("/")
    os.chdir(ROOT)
    os.environ["TMPDIR"] = str(scratch / "tmp")


def patch(text):
    """Each hunk goes where its lines are, once."""
    for part in re.split(r"^--- .*\n", text, flags=re.M)[1:]:
        name = re.match(r"\+\+\+ b/(.*)\n", part)[1]
        path = ROOT / name
        source = path.read_text()
        for hunk in re.split(r"^@@.*\n", part, flags=re.M)[1:]:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            if source.count(old) != 1:
                sys.exit(f"{name}: {source.count(old)} places have these lines, where 1 has to:\n{old}")
            source = source.replace(old, new)
        path.write_text(source)


def follow(page):
    commands = []
    for block in BLOCK.finditer(page):
        if block["kind"] == "swift":
            if not block["path"]:
                sys.exit(f"no line says which file this is:\n{block['text']}")
            path = ROOT / block["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"])
            print(f"wrote {block['path']}", flush=True)
        elif block["kind"] == "diff":
            patch(block["text"])
        else:
            commands.append(block["text"])
    if not commands:
        sys.exit("the page has no commands")
    files = [path for path in (block["path"] for block in BLOCK.finditer(page)) if path]
    run("swift", "format", "lint", "--strict", *files)
    run("bash", "-eux", "-o", "pipefail", "-c", "\n".join(commands))


def inside(scratch, page):
    use_copy(scratch)
    try:
        follow((ROOT / page).read_text())
    except subprocess.CalledProcessError as error:
        sys.exit(f"the page does not work as it is printed: {error.cmd[0]} ended with "
                 f"{error.returncode}")


def main():
    if sys.argv[1:2] == ["--inside"]:
        return inside(pathlib.Path(sys.argv[2]), sys.argv[3])
    if sys.argv[1:2] and sys.argv[1].startswith("-"):
        return print(__doc__)
    if os.geteuid() != 0:
        print("SKIPPED: following a page needs root, for a copy of the package that costs nothing")
        sys.exit(os.environ.get("CI") == "true")
    page = (sys.argv[1:] or ["docs/ADDING-A-PROVIDER.md"])[0]
    # All mounts and processes go with the namespaces, however this ends.
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
             "--mount-proc", sys.executable, __file__, "--inside", scratch, page],
            check=False).returncode)


main()
