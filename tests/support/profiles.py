"""Colour profiles (ICC), as small as they get."""

import struct
from collections.abc import Sequence

DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
"""XYZ of red, green and blue, adapted to D50."""
_D50 = (0.9642, 1.0, 0.8249)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def rgb_profile(primaries: Sequence[Sequence[float]], curve: bytes | None = None) -> bytes:
    tags = {b"wtpt": _xyz(_D50)}
    for name, primary in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags |= {name + b"XYZ": _xyz(primary), name + b"TRC": curve or srgb_curve()}
    return profile(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    return profile(
        b"GRAY", {b"wtpt": _xyz(_D50), b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))}
    )


def cmyk_profile() -> bytes:
    """White paper, on which magenta with yellow is a dull red, and every other mixture black."""
    ramp = bytes(range(256))
    corners = [(0, 128, 128)] * 16
    corners[0], corners[0b0110] = (255, 128, 128), (120, 190, 170)  # L*, a*, b*
    lut = struct.pack(">4s4x4B9i", b"mft1", 4, 3, 2, 0, *(65536 * (number % 4 == 0) for number in range(9)))
    lut += ramp * 4 + bytes(value for corner in corners for value in corner) + ramp * 3
    return profile(b"CMYK", {b"wtpt": _xyz(_D50), b"A2B0": lut, b"A2B1": lut}, pcs=b"Lab ", kind=b"prtr")


def profile(space: bytes, tags: dict[bytes, bytes], *, pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    table, data = struct.pack(">I", len(tags)), b""
    at = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s12x4s24x", at + len(data), b"test", 0x02400000, kind, space, pcs, b"acsp")
    return (head + _fixed(_D50)).ljust(128, b"\0") + table + data


def srgb_curve() -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(_SRGB_CURVE)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: Sequence[float]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))
