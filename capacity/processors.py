"""Cores, or a GPU, that many pieces of work share at once.

Owns weighted processor sharing: each piece gets its weight's share of the cores, and never more than it
has threads for; what one cannot use goes to the others, as Linux's fair scheduler does it.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import simpy

_NOTHING = 1e-12  # core-seconds


@dataclass(frozen=True, slots=True)
class Work:
    """What one visit needs: `core_s` core-seconds on at most `threads` cores, after `wait_s` without any.

    `weight`: the share beside others, 1 for an ordinary process. Waits are those for a disk or another
    process that the model does not hold; they take as long whatever else runs. `in_step`: its threads wait
    for each other, as a network's do, and spend less core-seconds where they get fewer cores.
    """

    core_s: float
    threads: float = 1.0
    wait_s: float = 0.0
    weight: float = 1.0
    in_step: bool = False

    @property
    def alone_s(self) -> float:
        """Seconds on idle cores."""
        return self.wait_s + self.core_s / self.threads

    def plus(self, core_s: float) -> Work:
        """The same with so much more (or less) to compute, never less than nothing."""
        return replace(self, core_s=max(0.0, self.core_s + core_s))

    def times(self, factor: float) -> Work:
        """The same on a machine whose cores need `factor` times as long."""
        return replace(self, core_s=factor * self.core_s)


class _Piece:
    __slots__ = ("done", "in_step", "left", "rate", "threads", "weight")

    def __init__(self, work: Work, done: simpy.Event) -> None:
        self.left = work.core_s
        self.threads = work.threads
        self.weight = work.weight
        self.in_step = work.in_step
        self.rate = 0.0
        self.done = done


class Processors:
    """`cores` cores, and what a core-second costs when others want them too.

    `crowding` is for work whose threads do not wait for each other: its cost when all other cores are busy,
    below 1 where a core that never rests is the faster one. `thrift` is for work in step: its cost where
    nearly all threads wait for a core; two networks at once on two cores save little yet. `rivals`: threads
    of others that want a core whenever they can get one.
    """

    def __init__(
        self,
        env: simpy.Environment,
        cores: float,
        crowding: float = 1.0,
        rivals: float = 0.0,
        thrift: float = 1.0,
    ) -> None:
        self._env = env
        self._cores = cores
        self._crowding = crowding
        self._thrift = thrift
        self._pieces: list[_Piece] = []
        self._rivals = [_Piece(Work(math.inf, rivals), env.event())] if rivals else []
        self._since = env.now
        self._turn = 0
        self.used_core_s = 0.0  # up to the last change, without rivals
        self.in_step_core_s = 0.0  # of these, work in step
        self.lost_core_s = 0.0  # to rivals

    def perform(self, work: Work) -> Generator[simpy.Event, Any, None]:
        """A process that ends when the work is done."""
        if work.wait_s > 0:
            yield self._env.timeout(work.wait_s)
        if work.core_s > _NOTHING:
            piece = _Piece(work, self._env.event())
            self._advance()
            self._pieces.append(piece)
            self._share()
            yield piece.done

    def _advance(self) -> None:
        elapsed, self._since = self._env.now - self._since, self._env.now
        if elapsed:
            for piece in self._pieces:
                piece.left -= piece.rate * elapsed * self._speed(piece)
                self.used_core_s += piece.rate * elapsed
                if piece.in_step:
                    self.in_step_core_s += piece.rate * elapsed
            for rival in self._rivals:
                self.lost_core_s += (
                    rival.rate if self._pieces else min(rival.threads, self._cores)
                ) * elapsed

    def _speed(self, piece: _Piece) -> float:
        if piece.in_step and piece.threads > 1.0:
            return 1.0 / (1.0 - (1.0 - self._thrift) * self._overload())
        if self._crowding == 1.0:
            return 1.0
        everybody = (*self._pieces, *self._rivals)
        busy_elsewhere = sum(other.rate for other in everybody) - piece.rate
        share = min(1.0, busy_elsewhere / max(self._cores - piece.threads, _NOTHING))
        return 1.0 / (1.0 + (self._crowding - 1.0) * max(0.0, share))

    def _overload(self) -> float:
        """Of the threads that want a core, the share that has none: 0..1."""
        wanted = sum(piece.threads for piece in (*self._pieces, *self._rivals))
        return max(0.0, 1.0 - self._cores / wanted)

    def _share(self) -> None:
        fill([*self._pieces, *self._rivals], self._cores)
        self._turn += 1
        if self._pieces:
            turn = self._turn
            first = min(piece.left / (piece.rate * self._speed(piece)) for piece in self._pieces)
            # Rounding must not leave a last bit that takes no time, again and again.
            due = self._env.timeout(max(first, 1e-9))
            assert due.callbacks is not None
            due.callbacks.append(lambda _: self._finish(turn))

    def _finish(self, turn: int) -> None:
        if turn != self._turn:
            return  # somebody came meanwhile, and the end moved
        self._advance()
        ended = [piece for piece in self._pieces if piece.left <= _NOTHING + 1e-9 * piece.rate]
        self._pieces = [piece for piece in self._pieces if piece not in ended]
        self._share()
        for piece in ended:
            piece.done.succeed()


def fill(pieces: list[_Piece], cores: float) -> None:
    """Set each piece's rate in cores: by weight, at most its threads, none of the cores left idle in vain."""
    wanting, room = list(pieces), cores
    while wanting:
        total = sum(piece.weight * piece.threads for piece in wanting)
        level = room / total
        sated = [piece for piece in wanting if level * piece.weight >= 1.0]
        if not sated:
            for piece in wanting:
                piece.rate = level * piece.weight * piece.threads
            return
        for piece in sated:
            piece.rate = piece.threads
            room -= piece.threads
        wanting = [piece for piece in wanting if level * piece.weight < 1.0]
