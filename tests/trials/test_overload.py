from __future__ import annotations

import pytest

from trials.overload import overload, table
from trials.service import Service


@pytest.mark.timeout(180)
def test_ten_times_the_load_is_refused_in_time_and_what_was_accepted_ends_ready(service: Service) -> None:
    seen = overload(service, limit=12, seconds=8)  # as in conftest: MAX_QUEUED_JOBS
    shown = "\n".join([*table(seen), *seen.faults])
    assert not seen.faults and not seen.strays, shown
    assert seen.refusals and set(seen.ends) == {"ready"}, shown
    assert min(seen.retry_after) >= 1, shown
    assert seen.kept and seen.probes["health"], shown
