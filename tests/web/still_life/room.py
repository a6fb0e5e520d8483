"""The room: a table, a wall, and the window beside the one who looks."""

from __future__ import annotations

import numpy as np

from tests.web.still_life.rays import Array, Noise, Window, blend, rgb, smoothstep

WALL_Z = 3.4
DAYLIGHT = Window(np.float32([-4.4, 7.0, -2.4]), np.float32([1.4, 0, -2.1]), np.float32([1.1, 1.7, 0.75]))
WOOD, LINES, PLASTER = Noise(0), Noise(1), Noise(4)


def wood(p: Array) -> Array:
    """Planks along x, each of another tone."""
    plank = np.floor((p[:, 2] + 20.35) / 2.1)
    across = (p[:, 2] + 20.35) / 2.1 - plank
    shift = plank * 7.31
    u, v = p[:, 0] * 0.32 + shift, p[:, 2] * 1.6 + shift
    rings = 0.5 + 0.5 * np.sin(7 * v + 6 * WOOD.at(u * 0.8, v * 0.5, 3))
    fibre = LINES.at(p[:, 0] * 1.6 + shift, p[:, 2] * 46, 2)
    tone = 0.2 * rings + 0.16 * fibre + 0.1 * np.sin(plank * 2.4) + 0.3
    colour = blend(np.tile(rgb("d3ae82"), (len(p), 1)), rgb("ad7d4c"), np.clip(tone, 0, 1))
    gap = 1 - smoothstep(0.003, 0.009, np.minimum(across, 1 - across))
    return blend(colour, rgb("5c3b22"), 0.5 * gap)


def plaster(p: Array) -> Array:
    stain = PLASTER.at(p[:, 0] * 0.5, p[:, 1] * 0.5, 5)
    colour = np.tile(rgb("aeb8ae"), (len(p), 1)) * (1 + 0.05 * stain)[:, None]
    return colour.astype(np.float32)


def sunlight(p: Array) -> Array:
    """The window's panes thrown on the wall, with a branch before them."""
    x, y = p[:, 0] - 0.42 * p[:, 1], p[:, 1]
    edge = 0.07
    panes = np.zeros(len(p), np.float32)
    for left in (-0.1, 1.15):
        for bottom in (0.25, 1.6):
            across = np.minimum(x - left, left + 1.1 - x)
            inside = np.minimum(across, np.minimum(y - bottom, bottom + 1.2 - y))
            panes = np.maximum(panes, smoothstep(-edge, edge, inside))
    leaves = smoothstep(0.1, 0.65, PLASTER.at(x * 1.5 + 9, y * 1.5, 2))
    return panes * (1 - 0.6 * leaves)
