"""The fair line in plain Python: what `redis_scripts/line.lua` must agree with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Lane:
    tag: int
    jobs: list[tuple[int, str, int]] = field(default_factory=list)  # order, id, cost


@dataclass
class FairLine:
    """Start-time fair queueing between owners; each owner's jobs in the order of acceptance."""

    lanes: dict[str, Lane] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    turn: int = 0

    def enter(self, job_id: str, owner: str, order: int, cost: int) -> None:
        lane = self.lanes.get(owner)
        if lane is None:
            lane = self.lanes[owner] = Lane(max(self.turn, self.used.get(owner, self.turn)))
        lane.jobs.append((order, job_id, cost))
        lane.jobs.sort()

    def enter_again(self, job_id: str, owner: str, order: int, cost: int) -> None:
        lane = self.lanes.get(owner)
        tag = (lane.tag if lane else self.used.get(owner, self.turn)) - cost
        lane = self.lanes.setdefault(owner, Lane(tag))
        lane.tag = self.used[owner] = tag
        self.enter(job_id, owner, order, cost)

    def leave(self, job_id: str) -> None:
        for owner, lane in list(self.lanes.items()):
            lane.jobs = [job for job in lane.jobs if job[1] != job_id]
            if not lane.jobs:
                del self.lanes[owner]
        if not self.lanes:
            self.used, self.turn = {}, 0

    def take(self) -> str:
        lowest = min(lane.tag for lane in self.lanes.values())
        owner = min(
            (owner for owner, lane in self.lanes.items() if lane.tag == lowest),
            key=lambda one: self.lanes[one].jobs[0][0],
        )
        lane = self.lanes[owner]
        _, job_id, cost = lane.jobs[0]
        self.turn, lane.tag, self.used[owner] = lane.tag, lane.tag + cost, lane.tag + cost
        self.leave(job_id)
        return job_id
