#!/usr/bin/env python3
"""Record what a real btrfs writes to its media, and look whether floe's witness holds.

usage: litmus.py [--break witness|flush] [WORKLOAD...]

Each WORKLOAD (all of them unless named) runs on a new btrfs whose media are served by a
recording nbdkit. Then the log is replayed (replay.py). --break leaves all later
superblocks, or every flush, out of the log: the exit status must be 1 then.

Exit status: 0 when the order holds, 1 when it does not, 2 when that could not be found out.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zlib

from replay import Replay, Unknown

HERE = os.path.dirname(os.path.abspath(__file__))
DISKS = 4


def run(*command):
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise Unknown(f"{' '.join(command)}: {found.stdout}{found.stderr}")
    return found.stdout


class Bench:
    """A btrfs over recorded media, with a frozen snapshot in it."""

    def __init__(self, profile, devices, options="discard=sync"):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix="floe-litmus.", dir=base)
        self.mountpoint = f"{self.directory}/mount"
        self.log = f"{self.directory}/log"
        self.loops = []
        self.exports = []
        self.server = None
        try:
            self.serve()
            self.make(profile, devices, options)
        except BaseException:
            self.remove()
            raise

    def serve(self):
        os.mkdir(self.mountpoint)
        for number in range(DISKS):
            # Twice: the disk that is served, and the one that the replay writes.
            for name in (f"disk{number}", f"replay{number}"):
                with open(f"{self.directory}/{name}", "wb") as disk:
                    disk.truncate(300 << 20)
        socket = f"{self.directory}/socket"
        self.server = subprocess.Popen(
            ["nbdkit", "-f", "-U", socket, "python", f"{HERE}/recorder.py"]
            + [f"directory={self.directory}"]
        )
        wait(lambda: os.path.exists(socket), "nbdkit listens")
        for number in range(DISKS):
            file = f"{self.directory}/medium{number}"
            open(file, "wb").close()
            uri = f"nbd+unix:///disk{number}?socket={socket}"
            self.exports.append((file, subprocess.Popen(["nbdfuse", file, uri])))
            wait(lambda f=file: os.path.getsize(f) > 0, "nbdfuse mounts")
            self.loops.append(run("losetup", "-f", "--show", file).strip())

    def make(self, profile, devices, options):
        run("mkfs.btrfs", "-q", "-d", profile, "-m", "raid1", *self.loops[:devices])
        run("btrfs", "device", "scan", *self.loops[:devices])
        run("mount", "-t", "btrfs", "-o", options, self.loops[0], self.mountpoint)
        self.data = f"{self.mountpoint}/data"
        run("btrfs", "subvolume", "create", self.data)
        os.mkdir(f"{self.data}/nocow")
        run("chattr", "+C", f"{self.data}/nocow")
        for number in range(24):
            self.fill(f"data/{number}", 100 << 10)
            self.fill(f"data/nocow/{number}", 50 << 10)
        self.sync()
        self.snapshot = f"{self.mountpoint}/frozen"
        run("btrfs", "subvolume", "snapshot", "-r", self.data, self.snapshot)
        self.sync()
        shown = run("btrfs", "subvolume", "show", self.snapshot)
        self.subvolume = int(re.search(r"Subvolume ID:\s+(\d+)", shown)[1])
        self.reference = {}
        for root, _, files in os.walk(self.snapshot):
            for name in files:
                with open(f"{root}/{name}", "rb") as file:
                    content = file.read()
                # Extents are made of whole blocks.
                content += bytes(-len(content) % 4096)
                self.reference[os.stat(f"{root}/{name}").st_ino] = zlib.crc32(content)
        self.start = os.path.getsize(self.log)

    def fill(self, name, size, mode="wb"):
        with open(f"{self.mountpoint}/{name}", mode) as file:
            file.write(os.urandom(size))

    def sync(self):
        run("btrfs", "filesystem", "sync", self.mountpoint)

    def churn(self):
        """Frees space, and fills it with other bytes."""
        for number in range(2):
            self.fill(f"filler{number}", 12 << 20)
            self.sync()
            os.unlink(f"{self.mountpoint}/filler{number}")
            self.sync()

    def replay(self, drop):
        run("umount", self.mountpoint)
        self.disconnect()
        replay = Replay(self.directory, DISKS, self.subvolume, self.reference, drop)
        replay.run(self.log, self.start)
        return replay

    def disconnect(self):
        for loop in self.loops:
            subprocess.run(["losetup", "-d", loop], capture_output=True)
        self.loops = []
        for file, process in self.exports:
            for _ in range(100):
                done = subprocess.run(["fusermount3", "-u", file], capture_output=True)
                if done.returncode == 0 or process.poll() is not None:
                    break
                time.sleep(0.1)
            process.wait(timeout=30)
        self.exports = []
        if self.server:
            self.server.terminate()
            self.server.wait(timeout=30)
            self.server = None

    def remove(self):
        subprocess.run(["umount", self.mountpoint], capture_output=True)
        try:
            self.disconnect()
        except subprocess.TimeoutExpired as error:
            print(f"litmus: {error}", file=sys.stderr)
        shutil.rmtree(self.directory, ignore_errors=True)


def wait(condition, what):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise Unknown(f"waited in vain: {what}")


def balance(bench):
    for _ in range(2):
        run("btrfs", "balance", "start", "--full-balance", bench.mountpoint)
        bench.churn()


def replace(bench):
    run("btrfs", "replace", "start", "-B", "1", bench.loops[2], bench.mountpoint)
    bench.churn()
    run("btrfs", "replace", "start", "-B", "-f", "1", bench.loops[0], bench.mountpoint)
    bench.churn()


def remove(bench):
    for loop in bench.loops[:2]:
        run("btrfs", "device", "remove", loop, bench.mountpoint)
        bench.churn()
        run("btrfs", "device", "add", "-f", loop, bench.mountpoint)
        bench.churn()


def rewrite(bench):
    for turn in range(4):
        for number in range(turn, 24, 2):
            for name in (f"data/{number}", f"data/nocow/{number}"):
                bench.fill(name, 40 << 10, "r+b")
        run("btrfs", "subvolume", "snapshot", "-r", bench.data, f"{bench.mountpoint}/s{turn}")
        bench.sync()
        if turn:
            run("btrfs", "subvolume", "delete", "-c", f"{bench.mountpoint}/s{turn - 1}")
            run("btrfs", "subvolume", "sync", bench.mountpoint)
        bench.churn()


def discard(bench):
    for _ in range(2):
        bench.churn()
        run("btrfs", "balance", "start", "-d", bench.mountpoint)
        run("fstrim", bench.mountpoint)


def discard_later(bench):
    uuid = run("findmnt", "-no", "UUID", bench.mountpoint).strip()
    # Without a pause between two of them (Documentation/ABI, /sys/fs/btrfs).
    for limit in ("iops_limit", "kbps_limit"):
        with open(f"/sys/fs/btrfs/{uuid}/discard/{limit}", "w") as file:
            file.write("0")
    for _ in range(2):
        run("btrfs", "balance", "start", "--full-balance", bench.mountpoint)
        bench.churn()
        # BTRFS_DISCARD_UNUSED_DELAY, fs/btrfs/discard.c: ten seconds.
        time.sleep(12)
        bench.churn()


# What runs, the profile of the data, the count of devices, options of the mount.
WORKLOADS = {
    "balance-raid1": (balance, "raid1", 2),
    "balance-single": (balance, "single", 2),
    "balance-raid0": (balance, "raid0", 3),
    "balance-raid10": (balance, "raid10", 4),
    "replace": (replace, "raid1", 2),
    "remove": (remove, "single", 3),
    "rewrite": (rewrite, "raid1", 2),
    "discard": (discard, "single", 2, "nodiscard"),
    "discard-async": (discard_later, "single", 2, "discard=async"),
}


def main():
    words = sys.argv[1:]
    if words[:1] in (["-h"], ["--help"]):
        print(__doc__, f"WORKLOADs: {' '.join(WORKLOADS)}")
        raise SystemExit(0)
    if os.geteuid():
        raise Unknown("only root can mount a new btrfs")
    drop = None
    if words[:1] == ["--break"] and len(words) > 1:
        drop = words[1]
        words = words[2:]
    if drop not in (None, "witness", "flush") or not set(words) <= set(WORKLOADS):
        print(__doc__, f"WORKLOADs: {' '.join(WORKLOADS)}", file=sys.stderr)
        raise SystemExit(64)
    version = run("btrfs", "--version").strip()
    print(f"kernel {os.uname().release}, {version}")
    failed = False
    for name in words or WORKLOADS:
        work, *shape = WORKLOADS[name]
        bench = Bench(*shape)
        try:
            work(bench)
            replay = bench.replay(drop)
        finally:
            bench.remove()
        counts = ", ".join(f"{count} {what}" for what, count in replay.counts.items())
        print(f"{name}: {counts}, {len(replay.violations)} violations", flush=True)
        for violation in replay.violations[:5]:
            print(f"  {violation}")
        # A log in which nothing happened shows nothing.
        if not replay.counts["commits"] or not replay.counts["regions"]:
            raise Unknown(f"{name} made no commit: nothing was seen")
        failed = failed or bool(replay.violations)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    # So that what was made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    try:
        main()
    except Unknown as error:
        print(f"litmus: {error}", file=sys.stderr)
        raise SystemExit(2)
    except Exception:
        traceback.print_exc()
        raise SystemExit(2)
