"""The picture that the page is tested and shown with: fruit on a table by a window.

Rendered, so that it is ours and shows nobody. The same seeds every time; a few seconds.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from tests.web.still_life.fruit import SKIN, THINGS
from tests.web.still_life.rays import Array, Ball, dot, march, normals, openness, shadow, smoothstep, unit
from tests.web.still_life.room import DAYLIGHT, WALL_Z, plaster, sunlight, wood

SIZE = (1024, 768)
# Where the bundled network finds one fruit alone: a tap, and the corners of a box; xy pixels.
APPLE = (779, 405)
LEMON_BOX = (200, 463, 434, 632)

EYE = np.float32([0.1, 5.6, -6.6])
LOOK_AT = np.float32([0.1, 0.2, 0.75])
FIELD_OF_VIEW = 38.0  # degrees, across
CHUNK = 16_384


def still_life() -> np.ndarray:
    """The picture, RGB uint8 [768, 1024, 3]."""
    width, height = SIZE
    y, x = (axis.reshape(-1).astype(np.float32) + 0.5 for axis in np.mgrid[0:height, 0:width])
    pixels, met = _developed_at(x, y)
    kinds = met.reshape(height, width)
    around = np.ones((3, 3), np.uint8)
    rough = np.flatnonzero(cv2.dilate(kinds, around) != cv2.erode(kinds, around))
    inside = [(-0.3, -0.1), (0.1, -0.3), (0.3, 0.1), (-0.1, 0.3)]
    pixels[rough] = np.mean([_developed_at(x[rough] + dx, y[rough] + dy)[0] for dx, dy in inside], axis=0)

    from_middle = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    pixels *= (1 - 0.5 * from_middle**2.2)[:, None]
    pixels += np.random.default_rng(11).normal(0, 0.008, (len(pixels), 1))
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8).reshape(height, width, 3)


def _developed_at(x: Array, y: Array) -> tuple[Array, Array]:
    """Colours as a screen shows them, 0 to 1, and what is met, at places of the picture."""

    def part(start: int) -> tuple[Array, Array]:
        ends = slice(start, start + CHUNK)
        light, met = shade(camera(x[ends], y[ends]), np.random.default_rng(start))
        return developed(light), met

    with ThreadPoolExecutor() as threads:
        colours, met = zip(*threads.map(part, range(0, len(x), CHUNK)), strict=True)
    return np.concatenate(colours), np.concatenate(met)


def shade(rays: Array, random: np.random.Generator) -> tuple[Array, Array]:
    """Linear colours [N, 3] that rays from the eye bring, and the index of what each meets."""
    count = len(rays)
    origin = np.broadcast_to(EYE, (count, 3))
    far = np.where(rays[:, 1] < -1e-4, -EYE[1] / np.minimum(rays[:, 1], -1e-4), np.inf)
    wall = (WALL_Z - EYE[2]) / np.maximum(rays[:, 2], 1e-4)
    t = np.minimum(far, wall).astype(np.float32)
    met = np.where(far < wall, -1, -2).astype(np.int16)
    for index, thing in enumerate(THINGS):
        centre = np.float32([0, thing.middle, 0])
        hit = march(thing.distance, origin - thing.origin, rays, centre, thing.reach)
        met = np.where(hit < t, index, met)
        t = np.minimum(t, hit)
    p = origin + t[:, None] * rays

    n = np.tile(np.float32([0, 1, 0]), (count, 1))
    n[met == -2] = (0, 0, -1)
    colour = np.empty((count, 3), np.float32)
    gloss, blur = np.full(count, 0.1, np.float32), np.full(count, 0.5, np.float32)
    for kind, paint in ((-1, wood), (-2, plaster)):
        colour[met == kind] = paint(p[met == kind])
    gloss[met == -2] = 0
    for index, thing in enumerate(THINGS):
        here = np.flatnonzero(met == index)
        if not len(here):
            continue
        local = p[here] - thing.origin
        colour[here] = thing.colour(local)
        n[here] = normals(thing.distance, local)
        if thing.bumps:
            places = (local[:, 0] * 22 + local[:, 2] * 13, local[:, 1] * 22 - local[:, 2] * 9)
            pits = np.stack([SKIN.at(places[0] + 31 * axis, places[1], 2) for axis in range(3)], axis=1)
            n[here] = unit(n[here] + 6 * thing.bumps * pits)
        gloss[here], blur[here] = thing.gloss, thing.blur

    light = lit(p, n, met, random)
    back = unit(rays - 2 * dot(rays, n)[:, None] * n)
    fresnel = 0.04 + 0.96 * (1 - np.clip(-dot(rays, n), 0, 1)) ** 5
    glint = np.zeros(count, np.float32)
    for softness in np.unique(blur[gloss > 0]):
        these = np.flatnonzero((blur == softness) & (gloss > 0))
        glint[these] = DAYLIGHT.seen_by(p[these], back[these], float(softness)) / (1 + 3 * softness)
    sheen = gloss * (glint * (0.25 + 6 * fresnel) + 0.5 * fresnel * np.clip(back[:, 1] * 0.5 + 0.6, 0, 1))
    seen = colour * light + sheen[:, None] * np.float32([1.0, 0.97, 0.92])
    return seen.astype(np.float32), met


def lit(p: Array, n: Array, met: Array, random: np.random.Generator) -> Array:
    """Light that falls on each point: the window, the room, what the table and the wall give back."""
    towards = DAYLIGHT.towards(p)
    distance = np.linalg.norm(towards, axis=1)
    # A wide window reaches a little around what it lights.
    window = np.clip((dot(n, towards) / distance + 0.15) / 1.15, 0, 1) * (7.6 / distance) ** 2
    for index, thing in enumerate(THINGS):
        others = np.flatnonzero((met != index) & (window > 0))
        window[others] *= 1 - shadow(p[others], DAYLIGHT, thing.shadows(), 4, random)
    free = openness_of_others(p, n, met)
    up = n[:, 1] * 0.5 + 0.5
    low = np.exp(-np.maximum(p[:, 1], 0) * 1.6)
    room = (0.12 + 0.26 * up)[:, None] * np.float32([0.86, 0.95, 1.05])
    bounce = ((1 - up) * (0.35 + 0.5 * low))[:, None] * np.float32([0.95, 0.72, 0.48]) * 0.62
    under = np.where(met >= 0, 1 - 0.75 * np.exp(-p[:, 1] * 9) * smoothstep(0.3, -0.9, n[:, 1]), 1)
    corner = np.where(met == -1, 1 - 0.45 * np.exp(-(WALL_Z - p[:, 2]) * 2.2), 1)
    corner = np.where(met == -2, 1 - 0.35 * np.exp(-p[:, 1] * 2.2), corner)
    light = window[:, None] * np.float32([1.18, 1.08, 0.94]) * 1.12
    light = light + (room + bounce) * (free * under * corner)[:, None]
    sun = np.where(met == -2, sunlight(p), 0) * 0.75
    return light + sun[:, None] * np.float32([1.15, 0.98, 0.72])


def openness_of_others(p: Array, n: Array, met: Array) -> Array:
    free = np.ones(len(p), np.float32)
    for index, thing in enumerate(THINGS):
        these = np.flatnonzero(met != index)
        x, y, z = thing.place
        ball = Ball(x, y + thing.middle * 0.85, z, 0.5, thing.middle / 0.5)
        free[these] *= openness(p[these], n[these], [ball])
    return free


def camera(x: Array, y: Array) -> Array:
    """Rays through places of the picture, xy pixels."""
    forward = unit((LOOK_AT - EYE)[None])[0]
    right = unit(np.cross(np.float32([0, 1, 0]), forward)[None])[0]
    up = np.cross(forward, right)
    width, height = SIZE
    reach = np.tan(np.radians(FIELD_OF_VIEW / 2)) / (width / 2)
    across, down = (x - width / 2) * reach, (y - height / 2) * reach
    return unit((forward + across[:, None] * right - down[:, None] * up).astype(np.float32))


def developed(light: Array) -> Array:
    """What a camera makes of linear light: highlights rolled off, shadows lifted a little, sRGB 0 to 1."""
    exposed = light * 0.92
    filmic = exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14)
    return np.clip(filmic, 0, 1) ** (1 / 2.2)
