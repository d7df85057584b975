"""The page's colours, of which `static/scales/colormap.js` has the reasons."""

from __future__ import annotations

import numpy as np

from gradscope.drawing.grid import Kind

_VIRIDIS = (
    "440154 482475 414487 355f8d 2a788e 21918c 22a884 44bf70 7ad151 bddf26 "
    "fde725"
)
_DIVERGING = "08306b 2166ac 6baed6 c6dbef f2f2ee fdd49e f59a3c c05a00 662f00"

#: Colours of cells without a number on the scale.
MARKS = {
    Kind.ZERO: (0, 0, 0),
    Kind.NAN: (214, 40, 40),
    Kind.INFINITE: (255, 0, 200),
    Kind.MISSING: (128, 131, 139),
    Kind.ABSENT: (190, 192, 198),
}


def _interpolate(stops: str) -> np.ndarray:
    """Return uint8 `[256, 3]` through evenly spaced hexadecimal stops."""
    colors = np.array([list(bytes.fromhex(stop)) for stop in stops.split()])
    places = np.linspace(0, len(colors) - 1, 256)
    channels = [
        np.interp(places, np.arange(len(colors)), colors[:, channel])
        for channel in range(3)
    ]
    # As `Math.round` in the page, which rounds halves up.
    return np.floor(np.stack(channels, axis=1) + 0.5).astype(np.uint8)


#: Colours from the lower to the upper end of a scale, `[256, 3]`; those of a
#: scale with a center part there.
SEQUENTIAL = _interpolate(_VIRIDIS)
TWO_SIDED = _interpolate(_DIVERGING)


def colors_of(
    positions: np.ndarray, kinds: np.ndarray, *, two_sided: bool = False
) -> np.ndarray:
    """Return the colours of cells, uint8 `[..., 3]`.

    Args:
        positions: Position of each number on its scale, from 0 to 1.
        kinds: Kind of each cell.
        two_sided: Whether the scale has a center.
    """
    table = TWO_SIDED if two_sided else SEQUENTIAL
    inside = np.clip(np.nan_to_num(positions), 0, 1)
    colors = table[np.rint(255 * inside).astype(int)]
    for kind, mark in MARKS.items():
        colors[kinds == kind] = mark
    return colors
