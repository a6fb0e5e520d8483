"""What a million jobs cost.

Owns the formula. Prices are inputs: what is written here is an order of magnitude, not a quotation.
"""

from __future__ import annotations

from dataclasses import dataclass

from capacity.demand import Assumptions, Demand

JOBS = 1e6


@dataclass(frozen=True, slots=True)
class Prices:
    """In one currency, here called dollars."""

    gpu_hour: float = 2.00  # with `cores_included` cores beside it
    core_hour: float = 0.04
    cores_included: float = 24.0
    redis_hour: float = 0.50  # a primary and a replica
    store_gb_month: float = 0.023
    kept_days: float = 1.0  # JOB_TTL_S
    egress_gb: float = 0.05
    file_put: float = 5e-6  # a request to an object store; 0 on a file system
    file_get: float = 4e-7


def cost_of_a_million(
    demand: Demand, assumed: Assumptions, prices: Prices, redis_jobs_s: float
) -> dict[str, float]:
    """Dollars by what they are for; `redis_jobs_s`: what one primary bears."""
    used = assumed.headroom
    gpu_hours = JOBS * demand.gpu_total_s / used / 3600
    core_hours = JOBS * demand.core_total_s / used / 3600
    beside = gpu_hours * prices.cores_included
    stored_gb = JOBS * demand.store_written / 1e9
    return {
        "GPUs": gpu_hours * prices.gpu_hour,
        "cores beyond those beside GPUs": max(0.0, core_hours - beside) * prices.core_hour,
        "Redis": JOBS / redis_jobs_s / 3600 * prices.redis_hour,
        "stored for a day": stored_gb * prices.store_gb_month * prices.kept_days / 30,
        "store requests": JOBS * (demand.files * prices.file_put + 2 * demand.files * prices.file_get),
        "bytes out": JOBS * demand.edge_bytes / 1e9 * prices.egress_gb,
    }
