"""What a log of writes says of the assumption that floe's witness stands on.

A *state* is what the media hold when every device shows the superblock of one commit.
floe takes the mapping of that commit for true as long as no device shows another
superblock. So, for the extents of a frozen snapshot in that mapping:

content    they hold the snapshot's bytes, in every copy, once the state is there;
order      nothing overwrites or discards them before a device shows another superblock;
durable    nothing does before some device's other superblock would survive a loss of
           power, so that no crash brings the state back over bytes that are gone.

The mapping is read by btrfs-progs from the media as they were at that point of the log,
which makes every commit, and everything up to the next one, a crash that is looked at.
"""

import bisect
import os
import re
import struct
import subprocess
import zlib

from recorder_log import FLUSH, TRIM, WRITE, records

SUPERBLOCK = 65536
# BTRFS_STRIPE_LEN, fs/btrfs/volumes.h.
STRIPE = 65536
# Bytes of the superblock that floe's witness is made of (struct btrfs_super_block,
# uapi/linux/btrfs_tree.h): fsid; magic, generation, root, chunk_root; devid; device UUID.
WINDOWS = [(32, 16), (64, 32), (201, 8), (267, 16)]
MAGIC = b"_BHRfS_M"
POISON = b"\xde" * 65536


class Unknown(Exception):
    """Why nothing can be said of the order."""


class State:
    """One commit, as all devices show it."""

    def __init__(self, generation, regions):
        self.generation = generation
        # Per device, sorted: (start, end).
        self.regions = regions

    def hits(self, device, start, end):
        """Regions that a range of a device touches."""
        regions = self.regions.get(device, [])
        index = max(0, bisect.bisect_right(regions, (start, 0)) - 1)
        for first, last in regions[index:]:
            if first >= end:
                break
            if last > start:
                yield max(first, start), min(last, end)


class Replay:
    def __init__(self, directory, devices, subvolume, reference, drop):
        self.subvolume = subvolume
        self.reference = reference
        self.drop = drop
        self.paths = [f"{directory}/replay{n}" for n in range(devices)]
        self.media = [os.open(path, os.O_RDWR) for path in self.paths]
        self.witnesses = [self.witness(n) for n in range(devices)]
        # The state that all devices show, and those that are gone from the devices but
        # might come back: with the devices whose newer superblock is not durable yet.
        self.state = None
        self.fading = []
        # States that cannot come back. What is reused of them shows that there was
        # something to get wrong.
        self.past = []
        self.counts = dict(writes=0, discards=0, flushes=0, commits=0, regions=0, reused=0)
        self.violations = []

    def witness(self, device):
        block = os.pread(self.media[device], 4096, SUPERBLOCK)
        return b"".join(block[start : start + length] for start, length in WINDOWS)

    def shown(self):
        """Devices by UUID, when all of them show one commit; else None."""
        blocks = {}
        for number, medium in enumerate(self.media):
            block = os.pread(medium, 4096, SUPERBLOCK)
            devid = struct.unpack_from("<Q", block, 201)[0]
            # Device 0 is the target of a replace that has not ended.
            if block[64:72] == MAGIC and devid != 0:
                blocks[number] = (struct.unpack_from("<Q", block, 72)[0], block[267:283])
        generations = {generation for generation, _ in blocks.values()}
        devices = {uuid.hex(): number for number, (_, uuid) in blocks.items()}
        if len(generations) != 1 or len(devices) != len(blocks):
            return None
        return generations.pop(), devices

    def run(self, log, start):
        """Replays a log; looks at what comes after `start` bytes of it."""
        for position, operation, device, offset, data, length in records(log):
            looks = position >= start
            if operation == FLUSH:
                if self.drop != "flush":
                    self.flushed(device)
                self.counts["flushes"] += looks
                continue
            if looks:
                if self.state is None and not self.fading and not self.past:
                    self.settle()
                self.counts["discards" if operation == TRIM else "writes"] += 1
                self.check(operation, device, offset, data, length)
            if operation == TRIM:
                for at in range(offset, offset + length, len(POISON)):
                    piece = POISON[: offset + length - at]
                    os.pwrite(self.media[device], piece, at)
            else:
                os.pwrite(self.media[device], data, offset)
            if offset < SUPERBLOCK + 4096 and offset + length > SUPERBLOCK:
                self.superblock(device, looks)

    def superblock(self, device, looks):
        witness = self.witness(device)
        if witness == self.witnesses[device]:
            return
        self.witnesses[device] = witness
        self.counts["commits"] += looks
        if not looks or self.drop == "witness" and self.state:
            return
        if self.state:
            self.fading.append((self.state, set()))
            self.state = None
        for _, changed in self.fading:
            changed.add(device)
        self.settle()

    def flushed(self, device):
        # One durable superblock of another commit is enough to tell the state is past.
        self.past += [state for state, changed in self.fading if device in changed]
        self.fading = [entry for entry in self.fading if device not in entry[1]]

    def settle(self):
        shown = self.shown()
        if shown is None:
            return
        generation, devices = shown
        extents = self.mapping(devices)
        if extents is None:
            return
        regions = {}
        for _, _, length, copies in extents:
            for device, place in copies:
                regions.setdefault(device, []).append((place, place + length))
        self.state = State(generation, {key: sorted(set(v)) for key, v in regions.items()})
        self.counts["regions"] += sum(map(len, self.state.regions.values()))
        self.content(extents, generation)

    def check(self, operation, device, offset, data, length):
        end = offset + length
        self.counts["reused"] += any(any(s.hits(device, offset, end)) for s in self.past)
        held = [("order", self.state)] if self.state else []
        held += [("durable", state) for state, _ in self.fading]
        for kind, state in held:
            for start, end in state.hits(device, offset, offset + length):
                present = os.pread(self.media[device], end - start, start)
                if operation == WRITE and present == data[start - offset : end - offset]:
                    continue
                what = "write" if operation == WRITE else "discard"
                self.violations.append(
                    f"{kind}: a {what} of device {device} at {start}, {end - start} bytes, "
                    f"changes the snapshot's data in the mapping of generation "
                    f"{state.generation}"
                )

    def content(self, extents, generation):
        copies = max((len(places) for _, _, _, places in extents), default=1)
        for copy in range(copies):
            sums = {}
            for inode, _, length, places in sorted(extents):
                device, place = places[copy % len(places)]
                piece = os.pread(self.media[device], length, place)
                sums[inode] = zlib.crc32(piece, sums.get(inode, 0))
            if sums != self.reference:
                self.violations.append(
                    f"content: copy {copy} of the snapshot's data is wrong in the mapping of "
                    f"generation {generation}"
                )

    def mapping(self, devices):
        """The snapshot's extents: (inode, file offset, length, [(device, place)]).

        None when a device that they lie on shows no superblock: a device that was
        replaced loses it before the commit that names its successor.
        """
        paths = [self.paths[number] for number in devices.values()]
        chunks = []
        for line in dump(paths, "chunk"):
            if found := re.search(r"FIRST_CHUNK_TREE CHUNK_ITEM (\d+)", line):
                chunks.append(Chunk(int(found[1])))
            elif chunks and (found := re.search(r"\tlength (\d+) owner.* type (\S+)", line)):
                chunks[-1].length = int(found[1])
                chunks[-1].is_striped = bool(re.search("RAID(0|10)$", found[2]))
                if re.search("RAID[56]", found[2]):
                    raise Unknown("parity is not looked at")
            elif chunks and (found := re.search(r"num_stripes \d+ sub_stripes (\d+)", line)):
                chunks[-1].copies = int(found[1])
            elif chunks and (found := re.search(r"stripe \d+ devid (\d+) offset (\d+)", line)):
                offset = int(found[2])
            elif chunks and (found := re.search(r"dev_uuid (\S+)", line)):
                device = devices.get(found[1].replace("-", ""))
                if device is None:
                    return None
                chunks[-1].stripes.append((device, offset))
        chunks.sort(key=lambda chunk: chunk.start)
        starts = [chunk.start for chunk in chunks]
        extents = []
        for inode, offset, address, length in file_extents(dump(paths, self.subvolume)):
            # An extent lies in one chunk.
            chunk = chunks[bisect.bisect_right(starts, address) - 1]
            for done, count, places in chunk.pieces(address, length):
                extents.append((inode, offset + done, count, places))
        return extents


class Chunk:
    """Where a range of logical addresses lies (struct btrfs_chunk, uapi/linux/btrfs_tree.h)."""

    def __init__(self, start):
        self.start = start
        self.length = 0
        # Whether pieces of 64 KiB go to one stripe after the other (BTRFS_STRIPE_LEN).
        self.is_striped = False
        # Stripes that hold the same, where it is striped.
        self.copies = 1
        # (device, place) of each.
        self.stripes = []

    def pieces(self, address, length):
        """The parts of a range, each in one stripe: (from its start, length, places)."""
        at = address - self.start
        assert 0 <= at and at + length <= self.length
        if not self.is_striped:
            yield 0, length, [(device, place + at) for device, place in self.stripes]
            return
        columns = len(self.stripes) // self.copies
        done = 0
        while done < length:
            number, within = divmod(at + done, STRIPE)
            row, column = divmod(number, columns)
            count = min(STRIPE - within, length - done)
            stripes = self.stripes[column * self.copies : (column + 1) * self.copies]
            yield done, count, [(d, place + row * STRIPE + within) for d, place in stripes]
            done += count


def dump(paths, tree):
    command = ["btrfs", "inspect-internal", "dump-tree", "--noscan", "-t", str(tree)]
    found = subprocess.run(command + paths, capture_output=True, text=True)
    if found.returncode:
        raise Unknown(f"btrfs inspect-internal dump-tree: {found.stderr}")
    return found.stdout.splitlines()


def file_extents(lines):
    for line in lines:
        if found := re.search(r"\((\d+) EXTENT_DATA (\d+)\)", line):
            inode, offset = int(found[1]), int(found[2])
        elif found := re.search(r"extent data disk byte (\d+) nr", line):
            address = int(found[1])
        elif found := re.search(r"extent data offset (\d+) nr (\d+) ram", line):
            # Disk byte 0 is a hole.
            if address:
                yield inode, offset, address + int(found[1]), int(found[2])
