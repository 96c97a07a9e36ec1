#!/usr/bin/env python3
"""Print a canonical manifest of a directory tree: one line a path, sorted.

usage: manifest.py full|copy TREE [--skip RELATIVE-PATH]... [--skip-type LETTER]...
                   [--untimed RELATIVE-PATH]... [--directory-inodes]

Two trees are the same when their manifests are the same text. This tool shares
no code with floe, so that the one can judge the other.

full   everything that stat, xattrs and content show: inode numbers, link
       counts, blocks, all times, and where the holes are. For a snapshot and
       the mount of its image.
copy   what rsync -aHAXS and GNU tar with --xattrs --acls keep. Left out: inode
       numbers, blocks, access and change times, sizes and link counts of
       directories, and where the holes are (rsync and tar make their own).

Content is one SHA-256 over (offset, bytes) of every 1 MiB window of the file
that holds a byte other than zero. Windows without data are not read, so that a
sparse file of terabytes is quick; holes inside a window are read as bytes. The
hash is the same for two files of the same content whatever their holes.

A path that cannot be read gets a line that says so, and the exit status is 1.
"""

import argparse
import errno
import hashlib
import os
import stat
import sys

WINDOW = 1 << 20
TYPES = {
    stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFCHR: "c",
    stat.S_IFBLK: "b", stat.S_IFIFO: "p", stat.S_IFSOCK: "s",
}


def escaped(name):
    """A name's bytes as text without blanks, one way only."""
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x5C else "\\x%02x" % byte
        for byte in name)


def data_ranges(descriptor, size):
    """Where the file has data, as (start, end) pairs in ascending order."""
    ranges = []
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as failure:
            if failure.errno == errno.ENXIO:
                break
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        if not position <= start < end <= size:
            raise ValueError("SEEK_DATA and SEEK_HOLE gave %d and %d" % (start, end))
        ranges.append((start, end))
        position = end
    return ranges


def read_fully(descriptor, offset, count):
    """All bytes of a range, however short the single reads are."""
    pieces = []
    while count > 0:
        piece = os.pread(descriptor, count, offset)
        if not piece:
            raise ValueError("the file ended early, at %d" % offset)
        pieces.append(piece)
        offset += len(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def content(descriptor, size, ranges):
    """The hash of the content, as this file's head describes it."""
    digest = hashlib.sha256()
    zeros = bytes(WINDOW)
    following = 0
    for start, end in ranges:
        for window in range(max(start // WINDOW, following), (end - 1) // WINDOW + 1):
            offset = window * WINDOW
            data = read_fully(descriptor, offset, min(WINDOW, size - offset))
            if data != zeros[:len(data)]:
                digest.update(b"%d:" % offset)
                digest.update(data)
            following = window + 1
    return digest.hexdigest()


class Manifest:
    def __init__(self, options):
        self.full = options.mode == "full"
        self.root = os.fsencode(options.tree)
        self.skipped = {os.fsencode(path) for path in options.skip}
        self.skipped_types = set(options.skip_type)
        self.untimed = {os.fsencode(path) for path in options.untimed}
        self.directory_inodes = options.directory_inodes
        self.failed = False
        self.lines = []
        self.groups = {}

    def walk(self, relative=b"", listed_inode=None):
        path = os.path.join(self.root, relative) if relative else self.root
        fields = []
        try:
            info = os.lstat(path)
            kind = TYPES[stat.S_IFMT(info.st_mode)]
            if kind in self.skipped_types:
                return
            self.describe(path, info, kind, fields)
            if relative not in self.untimed:
                self.describe_times(info, fields)
            if kind == "f":
                self.describe_content(path, info, fields)
            if self.directory_inodes and listed_inode not in (None, info.st_ino):
                fields.append("d_ino=%d" % listed_inode)
            if kind != "d" and info.st_nlink > 1:
                # Filled in at the end, by the first path of the group.
                self.groups.setdefault((info.st_dev, info.st_ino), []).append(len(self.lines))
        except (OSError, ValueError) as failure:
            self.fail(fields, failure)
            kind = None
        self.lines.append((relative, fields))
        if kind == "d":
            self.descend(path, relative, fields)

    def descend(self, path, relative, fields):
        try:
            with os.scandir(path) as entries:
                children = sorted((entry.name, entry.inode()) for entry in entries)
        except OSError as failure:
            self.fail(fields, failure)
            return
        names = [name for name, _ in children]
        for twice in {name for name, next_name in zip(names, names[1:]) if name == next_name}:
            fields.append("listed-twice=%s" % escaped(twice))
        for name, inode in children:
            child = os.path.join(relative, name) if relative else name
            if child not in self.skipped:
                self.walk(child, inode)

    def fail(self, fields, failure):
        self.failed = True
        number = getattr(failure, "errno", None)
        fields.append("error=%s" % (errno.errorcode.get(number) or escaped(os.fsencode(str(failure)))))

    def describe(self, path, info, kind, fields):
        fields.append("type=%s" % kind)
        fields.append("mode=%04o" % stat.S_IMODE(info.st_mode))
        fields.append("owner=%d:%d" % (info.st_uid, info.st_gid))
        if self.full or kind != "d":
            fields.append("size=%d" % info.st_size)
            fields.append("links=%d" % info.st_nlink)
        if self.full:
            fields.append("ino=%d" % info.st_ino)
            fields.append("blocks=%d" % info.st_blocks)
        if kind in "bc":
            fields.append("device=%d:%d" % (os.major(info.st_rdev), os.minor(info.st_rdev)))
        if kind == "l":
            fields.append("target=%s" % escaped(os.readlink(path)))
        for name in sorted(os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False)):
            value = os.getxattr(path, name, follow_symlinks=False)
            fields.append("xattr:%s=%s" % (escaped(name), value.hex()))

    def describe_times(self, info, fields):
        fields.append("mtime=%d" % info.st_mtime_ns)
        if self.full:
            fields.append("atime=%d" % info.st_atime_ns)
            fields.append("ctime=%d" % info.st_ctime_ns)

    def describe_content(self, path, info, fields):
        if info.st_size == 0:
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME)
        try:
            ranges = data_ranges(descriptor, info.st_size)
            if self.full:
                fields.append("data=%s" % ",".join("%d-%d" % pair for pair in ranges))
            fields.append("sha256=%s" % content(descriptor, info.st_size, ranges))
        finally:
            os.close(descriptor)

    def write(self, output):
        for members in self.groups.values():
            first = min(self.lines[position][0] for position in members)
            for position in members:
                self.lines[position][1].append("linked=%s" % escaped(first))
        for relative, fields in sorted(self.lines):
            output.write("./%s %s\n" % (escaped(relative), " ".join(fields)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["full", "copy"])
    parser.add_argument("tree")
    parser.add_argument("--skip", action="append", default=[], metavar="RELATIVE-PATH")
    parser.add_argument("--skip-type", action="append", default=[], metavar="LETTER")
    parser.add_argument(
        "--untimed", action="append", default=[], metavar="RELATIVE-PATH",
        help="leave out the times of this path (btrfs invents them for a nested subvolume)")
    parser.add_argument(
        "--directory-inodes", action="store_true",
        help="say where readdir gives another inode number than stat")
    options = parser.parse_args()
    manifest = Manifest(options)
    manifest.walk()
    manifest.write(sys.stdout)
    return 1 if manifest.failed else 0


if __name__ == "__main__":
    sys.exit(main())
