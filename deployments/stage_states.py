"""What Serve says of the application's stages: which sleep, and which find no room.

Owns the reading of Serve's status. A stage at zero replicas is asleep and well: the next call wakes it. One
whose replica waits for resources would wait for ever without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ray import serve

PRESENT = ("RUNNING", "UPDATING", "RECOVERING", "PENDING_MIGRATION")
NO_ROOM = re.compile(r"to be scheduled.*?(Resources required .*?total resources available: .*?\})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StageState:
    """One stage: its replicas, and what Serve has to say."""

    present: int
    starting: int
    healthy: bool
    message: str

    @property
    def asleep(self) -> bool:
        """Whether it has no replica because it needs none."""
        return self.healthy and self.present == 0 and self.starting == 0

    @property
    def want_of_room(self) -> str | None:
        """What a replica that waits for resources asks for, beside what there is; Serve tells after 30 s."""
        found = NO_ROOM.search(self.message) if self.starting else None
        return found.group(1) if found else None


def read_stage_states(application: str) -> Mapping[str, StageState]:
    """All stages of an application by name; blocks for as long as Serve's controller needs."""
    found = serve.status().applications.get(application)
    if found is None:
        return {}
    return {
        name: StageState(
            present=sum(one.replica_states.get(state, 0) for state in PRESENT),
            starting=one.replica_states.get("STARTING", 0),
            healthy=one.status == "HEALTHY",
            message=one.message,
        )
        for name, one in found.deployments.items()
    }
