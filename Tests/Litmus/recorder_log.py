"""Reads the log that recorder.py writes."""

import struct

# As in recorder.py, which nbdkit loads and nobody else can.
HEADER = struct.Struct("<BBQQ")
WRITE, TRIM, FLUSH = 1, 2, 3


def records(path):
    """Yields (position, operation, device, offset, data, length)."""
    with open(path, "rb") as log:
        while header := log.read(HEADER.size):
            position = log.tell() - HEADER.size
            operation, device, offset, length = HEADER.unpack(header)
            data = log.read(length) if operation == WRITE else b""
            yield position, operation, device, offset, data, length
