"""An nbdkit plugin that records everything that is written, over all exports, in order.

nbdkit python recorder.py directory=DIR

Export NAME is the file DIR/NAME. DIR/log gets a record for each request that changes
something or makes it durable: a header (`HEADER`), and the bytes of a write. Requests are
handled one at a time, so the log has one order for all exports.
"""

import builtins
import os
import struct

import nbdkit

API_VERSION = 2

# Operation, number of the export, offset, length.
HEADER = struct.Struct("<BBQQ")
WRITE, TRIM, FLUSH = 1, 2, 3

_directory = None
_log = None
_names = []


def config(key, value):
    global _directory
    if key != "directory":
        raise RuntimeError(f"unknown parameter {key}")
    _directory = value


def get_ready():
    global _log
    _log = builtins.open(f"{_directory}/log", "wb", buffering=1 << 20)
    _names.extend(sorted(n for n in os.listdir(_directory) if n.startswith("disk")))


def thread_model():
    return nbdkit.THREAD_MODEL_SERIALIZE_ALL_REQUESTS


def open_export(name):
    return {"fd": os.open(f"{_directory}/{name}", os.O_RDWR), "number": _names.index(name)}


def record(handle, operation, offset, length, data=b""):
    _log.write(HEADER.pack(operation, handle["number"], offset, length))
    _log.write(data)
    if operation == FLUSH:
        _log.flush()


def open(readonly):  # noqa: A001 (nbdkit's name)
    return open_export(nbdkit.export_name())


def get_size(handle):
    return os.fstat(handle["fd"]).st_size


def pread(handle, buffer, offset, flags):
    os.preadv(handle["fd"], [buffer], offset)


def pwrite(handle, buffer, offset, flags):
    os.pwrite(handle["fd"], buffer, offset)
    record(handle, WRITE, offset, len(buffer), bytes(buffer))


def trim(handle, count, offset, flags):
    record(handle, TRIM, offset, count)


def flush(handle, flags):
    record(handle, FLUSH, 0, 0)


def can_fua(handle):
    return nbdkit.FUA_NONE
