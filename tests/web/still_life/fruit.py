"""The fruit: shapes as distances from their surface, colours by place on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tests.web.still_life.rays import (
    Array,
    Ball,
    Distance,
    Noise,
    blend,
    capsule,
    rgb,
    smooth_union,
    smoothstep,
)

SKIN, STREAKS = Noise(2), Noise(3)


@dataclass(frozen=True)
class Thing:
    """One object: where it stands, its shape and colours about there, the balls that cast its shadow.

    `middle`, `reach`: height of the ball that it is in, and its radius. `gloss`, `blur`: of reflections.
    """

    name: str
    place: tuple[float, float, float]
    middle: float
    reach: float
    distance: Distance
    colour: Callable[[Array], Array]
    balls: list[Ball] = field(default_factory=list)
    gloss: float = 0.4
    blur: float = 0.12
    bumps: float = 0.0

    @property
    def origin(self) -> Array:
        return np.float32(self.place)

    def shadows(self) -> list[Ball]:
        x, y, z = self.place
        return [Ball(x + b.x, y + b.y, z + b.z, b.radius, b.squash) for b in self.balls]


def turned(p: Array, degrees: float) -> Array:
    """About the y axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y, z = p.T
    return np.stack([c * x + s * z, y, c * z - s * x], axis=1).astype(np.float32)


def apple(p: Array) -> Array:
    q = p - np.float32([0, 0.5, 0])
    radius = np.linalg.norm(q, axis=1)
    polar = np.arccos(np.clip(q[:, 1] / np.maximum(radius, 1e-6), -1, 1))
    lobes = 0.014 * np.cos(5 * np.arctan2(q[:, 2], q[:, 0])) * smoothstep(1.2, 3.0, polar)
    shape = 0.56 - 0.26 * np.exp(-((polar / 0.36) ** 2)) - 0.16 * np.exp(-(((np.pi - polar) / 0.42) ** 2))
    shape += 0.03 * np.cos(polar) + lobes
    stem = capsule(p, (0, 0.74, 0), (0.07, 1.16, 0.02), 0.022)
    return np.minimum((radius - shape) * 0.75, stem)


def apple_colour(p: Array) -> Array:
    around = np.arctan2(p[:, 2], p[:, 0] - 0.0)
    streak = STREAKS.at(around * 9, p[:, 1] * 1.4, 3)
    ripe = SKIN.at(np.cos(around) * 0.8 + 3, np.sin(around) * 0.8 + p[:, 1] * 0.4, 2)
    red = blend(np.tile(rgb("b51a1c"), (len(p), 1)), rgb("7d0f16"), smoothstep(-0.5, 1.0, streak))
    colour = blend(red, rgb("d9a23c"), 0.85 * smoothstep(0.25, 0.9, ripe + 0.35 * streak))
    hollow = np.hypot(p[:, 0], p[:, 2])
    pale = (1 - smoothstep(0.08, 0.26, hollow)) * smoothstep(0.6, 0.8, p[:, 1])
    colour = blend(colour, rgb("b7a23e"), pale)
    dots = smoothstep(0.95, 1.15, STREAKS.at(around * 34, p[:, 1] * 56, 1))
    colour = blend(colour, rgb("e8c98a"), 0.5 * dots)
    return blend(colour, rgb("4a3216"), ((hollow < 0.085) & (p[:, 1] > 0.78)).astype(np.float32))


def pear(p: Array) -> Array:
    lean = p - np.float32([0.1, 0, 0]) * smoothstep(0.5, 1.4, p[:, 1])[:, None]
    body = np.linalg.norm(lean - np.float32([0, 0.5, 0]), axis=1) - 0.5
    neck = np.linalg.norm(lean - np.float32([0.02, 1.14, 0]), axis=1) - 0.21
    stem = capsule(p, (0.13, 1.28, 0), (0.2, 1.62, 0.03), 0.026)
    return np.minimum(smooth_union(body, neck, 0.52), stem) * 0.9


def pear_colour(p: Array) -> Array:
    speck = smoothstep(0.55, 0.8, STREAKS.at(np.arctan2(p[:, 2], p[:, 0]) * 14, p[:, 1] * 22, 2))
    warm = smoothstep(-0.5, 0.7, SKIN.at(p[:, 0] * 1.2, p[:, 1] * 1.2, 3) + 0.6 * p[:, 0])
    colour = blend(np.tile(rgb("9aa83a"), (len(p), 1)), rgb("c9b548"), warm)
    colour = blend(colour, rgb("6f6a24"), 0.55 * speck)
    return blend(colour, rgb("4b3520"), (p[:, 1] > 1.345).astype(np.float32))


def lemon(p: Array) -> Array:
    q = turned(p - np.float32([0, 0.36, 0]), 28)
    along = q[:, 0]
    body = 0.37 * np.sqrt(np.maximum(1 - (along / 0.52) ** 2, 0))
    tip = 0.1 * np.exp(-(((np.abs(along) - 0.52) / 0.09) ** 2))
    girth = body + tip
    ends = np.maximum(np.abs(along) - 0.6, 0)
    return np.maximum(np.hypot(q[:, 1], q[:, 2]) - girth, ends) * 0.5


def lemon_colour(p: Array) -> Array:
    q = turned(p, 28)
    green = smoothstep(0.5, 0.62, np.abs(q[:, 0])) * 0.5
    patches = 0.12 * SKIN.at(p[:, 0] * 3, p[:, 1] * 3)
    return blend(np.tile(rgb("e2b120"), (len(p), 1)), rgb("a9a52a"), green + patches)


THINGS = [
    Thing("pear", (-1.5, 0, 1.6), 0.8, 0.95, pear, pear_colour, gloss=0.22, blur=0.35, bumps=0.006,
          balls=[Ball(0, 0.5, 0, 0.5), Ball(0.05, 0.9, 0, 0.3), Ball(0.12, 1.15, 0, 0.21)]),
    Thing("apple", (1.6, 0, 0.1), 0.55, 0.75, apple, apple_colour, gloss=0.5, blur=0.12,
          balls=[Ball(0, 0.45, 0, 0.54, 0.85)]),
    Thing("lemon", (-0.9, 0, -0.9), 0.36, 0.68, lemon, lemon_colour, gloss=0.35, blur=0.25, bumps=0.018,
          balls=[Ball(0, 0.36, 0, 0.37), Ball(0.22, 0.36, 0.12, 0.32), Ball(-0.22, 0.36, -0.12, 0.32)]),
]  # fmt: skip
