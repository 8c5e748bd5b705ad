"""Damage to files, for tests."""

from pathlib import Path

import uproot


def damage(source, target):
    """Writes a copy of a file of `tests.readers.test_reading.columns` whose particles cannot be read; returns its path."""
    data = bytearray(Path(source).read_bytes())
    with uproot.open(source) as file:
        seek = int(file["tree"]["part_px"].member("fBasketSeek")[0])
    data[seek + 100 : seek + 200] = bytes(100)
    Path(target).write_bytes(data)
    return str(target)
