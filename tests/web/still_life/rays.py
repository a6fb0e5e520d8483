"""Rays, shapes and light for a picture that the tests render themselves.

Lengths are in decimetres, y points up, the table is y = 0. Points and directions are float32 [N, 3].
Knows no object by name and no colour but one: it reads a colour as screens write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Distance = Callable[[Array], Array]


def rgb(hexadecimal: str) -> Array:
    """Linear light of a colour as screens name it."""
    return np.float32([(int(hexadecimal[i : i + 2], 16) / 255) ** 2.2 for i in (0, 2, 4)])


def unit(v: Array) -> Array:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def dot(a: Array, b: Array) -> Array:
    return a[:, 0] * b[..., 0] + a[:, 1] * b[..., 1] + a[:, 2] * b[..., 2]


def smoothstep(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def blend(a: Array, b: Array, share: Array) -> Array:
    """From `a` to `b` by `share` [N]."""
    return a + (b - a) * share[:, None]


def smooth_union(a: Array, b: Array, k: float) -> Array:
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.minimum(a, b) - h * h * (k / 4)


def capsule(p: Array, a: tuple[float, ...], b: tuple[float, ...], radius: float) -> Array:
    start, along = np.float32(a), np.float32(b) - np.float32(a)
    share = np.clip((p - start) @ along / (along @ along), 0, 1)
    return np.linalg.norm(p - start - share[:, None] * along, axis=1) - radius


def march(distance: Distance, origin: Array, rays: Array, centre: Array, radius: float) -> Array:
    """How far along its ray each hits the shape, inf where it does not; the shape is within a ball."""
    to_centre = centre - origin
    along = dot(rays, to_centre)
    inside = radius**2 - (dot(to_centre, to_centre) - along**2)
    found = np.full(len(rays), np.inf, np.float32)
    active = np.flatnonzero((inside > 0) & (along > 0))
    half = np.sqrt(inside[active])
    t, end = along[active] - half, along[active] + half
    for _ in range(90):
        d = distance(origin[active] + t[:, None] * rays[active])
        hit = d < 6e-4
        found[active[hit]] = t[hit]
        t = t + 0.8 * d
        go_on = ~hit & (t < end)
        active, t, end = active[go_on], t[go_on], end[go_on]
        if not len(active):
            break
    return found


def normals(distance: Distance, p: Array) -> Array:
    offsets = np.float32([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]]) * 1.5e-3
    return unit(sum(offset[None] * distance(p + offset)[:, None] for offset in offsets))


@dataclass(frozen=True)
class Window:
    """A rectangle of daylight: `across` and `up` reach from its centre to its edges."""

    centre: Array
    across: Array
    up: Array

    @property
    def facing(self) -> Array:
        return unit(np.cross(self.across, self.up)[None])[0]

    def towards(self, p: Array) -> Array:
        """From points to the middle of the glass."""
        return self.centre - p

    def cells(self, count: int, side: int, random: np.random.Generator) -> Iterator[Array]:
        """Offsets [count, 3] from the middle, one set for each of `side`**2 cells, no two alike."""
        for row in range(side):
            for column in range(side):
                u, v = 2 * (np.float32([[row], [column]]) + random.random((2, count), np.float32)) / side - 1
                yield v[:, None] * self.across + u[:, None] * self.up

    @property
    def reach(self) -> float:
        """From the middle to a corner."""
        return float(np.linalg.norm(self.across) + np.linalg.norm(self.up))

    def seen_by(self, p: Array, rays: Array, blur: float) -> Array:
        """How much of each ray reaches the glass, 0 to 1; `blur`: of the frame's edges, share of its size."""
        slope = rays @ self.facing
        t = ((self.centre - p) @ self.facing) / np.where(np.abs(slope) < 1e-6, -1e-6, slope)
        place = p + t[:, None] * rays - self.centre
        u = np.abs(place @ self.across / (self.across @ self.across))
        v = np.abs(place @ self.up / (self.up @ self.up))
        pane = (1 - smoothstep(1 - blur, 1 + blur, u)) * (1 - smoothstep(1 - blur, 1 + blur, v))
        bar = smoothstep(0.02, 0.05 + blur, u) * smoothstep(0.02, 0.05 + blur, v)
        return np.where((t > 0) & (slope < 0), pane * bar, 0).astype(np.float32)


@dataclass(frozen=True)
class Ball:
    """Stands for (a part of) an object where light is kept away. `squash`: its height over its width."""

    x: float
    y: float
    z: float
    radius: float
    squash: float = 1.0


def shadow(p: Array, window: Window, balls: list[Ball], side: int, random: np.random.Generator) -> Array:
    """Which share of the window the balls hide from each point, 0 to 1."""
    centres = np.float32([[ball.x, ball.y, ball.z] for ball in balls])
    middle = centres.mean(axis=0)
    size = max(float(np.linalg.norm(c - middle)) + b.radius for c, b in zip(centres, balls, strict=True))
    towards, away = window.towards(p), middle - p
    share = np.clip(dot(away, towards) / dot(towards, towards), 0, 1)
    beside = np.linalg.norm(away - share[:, None] * towards, axis=1)
    near = np.flatnonzero(beside < size + window.reach * share)
    hidden = np.zeros(len(near), np.float32)
    for offset in window.cells(len(near), side, random):
        hidden += _any_between(p[near], towards[near] + offset, balls)
    total = np.zeros(len(p), np.float32)
    total[near] = hidden / side**2
    return total


def _any_between(p: Array, towards: Array, balls: list[Ball]) -> NDArray[np.bool_]:
    between = np.zeros(len(p), bool)
    for ball in balls:
        scale = np.float32([1, 1 / ball.squash, 1]) / ball.radius
        away = (np.float32([ball.x, ball.y, ball.z]) - p) * scale
        path = towards * scale
        length2, along = dot(path, path), dot(away, path)
        share = np.clip(along / length2, 0, 1)
        between |= dot(away, away) + share * (share * length2 - 2 * along) < 1
    return between


def openness(p: Array, n: Array, balls: list[Ball]) -> Array:
    """How much of the hemisphere over each point is free of balls, 0 to 1."""
    free = np.ones(len(p), np.float32)
    for ball in balls:
        away = np.float32([ball.x, ball.y, ball.z]) - p
        away[:, 1] /= ball.squash
        distance = np.maximum(np.linalg.norm(away, axis=1), ball.radius)
        facing = np.clip(dot(n, away) / distance * 0.75 + 0.25, 0, 1)
        free *= 1 - 0.9 * facing * (ball.radius / distance) ** 2
    return free


class Noise:
    """Smooth noise, the same for the same seed, about -1 to 1. At most 32,000 places at once."""

    def __init__(self, seed: int) -> None:
        self._grid = np.random.default_rng(seed).normal(0, 0.5, (256, 256)).astype(np.float32)

    def at(self, u: Array, v: Array, octaves: int = 4) -> Array:
        total = np.zeros(len(u), np.float32)
        for octave in range(octaves):
            total += self._smooth(u * 2**octave + 17.3 * octave, v * 2**octave + 5.1 * octave) / 2**octave
        return total

    def _smooth(self, x: Array, y: Array) -> Array:
        if not len(x):
            return np.zeros(0, np.float32)
        place = [np.mod(axis, 256).astype(np.float32)[None] for axis in (x, y)]
        return cv2.remap(self._grid, *place, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)[0]
