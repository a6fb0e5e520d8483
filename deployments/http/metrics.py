"""Prometheus text of what the job store has counted, the same from every ingress replica.

Owns metric names and units. Ray's own series (replicas, request latencies) are exported by Ray.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from storage.job_metrics import Histogram, StoreMetrics


def render_metrics(metrics: StoreMetrics | None, takes_writes: bool, free_bytes: int | None) -> bytes:
    """Prometheus text exposition.

    `metrics`: None while Redis does not answer; the rest is exported all the same, so that a scrape tells
    which of the two is away, Redis or the service. `free_bytes`: room for artifacts; None while unknown.
    """
    registry = CollectorRegistry()
    registry.register(_Stores(takes_writes, free_bytes))
    if metrics is not None:
        registry.register(_Jobs(metrics))
    return generate_latest(registry)


class _Stores(Collector):
    def __init__(self, takes_writes: bool, free_bytes: int | None) -> None:
        self._takes_writes, self._free_bytes = takes_writes, free_bytes

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "tapcut_redis_up", "Whether Redis answers and takes writes.", value=float(self._takes_writes)
        )
        if self._free_bytes is not None:
            yield GaugeMetricFamily(
                "tapcut_artifacts_free_bytes", "Room left for artifacts, bytes.", value=self._free_bytes
            )


class _Jobs(Collector):
    def __init__(self, metrics: StoreMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        jobs = GaugeMetricFamily("tapcut_jobs", "Jobs known to the store, by state.", labels=["state"])
        for state, count in metrics.jobs.items():
            jobs.add_metric([state], count)
        yield jobs
        yield GaugeMetricFamily("tapcut_queue_depth", "Jobs that wait for a runner.", value=metrics.waiting)
        yield GaugeMetricFamily(
            "tapcut_queue_oldest_seconds",
            "Seconds since the acceptance of the run that waits longest; 0 when none waits.",
            value=metrics.oldest_waiting_s,
        )
        yield GaugeMetricFamily("tapcut_jobs_running", "Jobs that a runner holds.", value=metrics.in_progress)
        yield CounterMetricFamily(
            "tapcut_dead_letters", "Jobs put aside after their last try.", value=metrics.dead_letters_total
        )
        yield CounterMetricFamily(
            "tapcut_job_retries", "Attempts after the first of their run.", value=metrics.retries_total
        )
        yield GaugeMetricFamily(
            "tapcut_webhooks_waiting", "Webhooks that are not settled yet.", value=metrics.webhooks.waiting
        )
        yield CounterMetricFamily(
            "tapcut_webhook_retries",
            "Tries that failed and were not the last.",
            value=metrics.webhooks.retried,
        )
        webhooks = CounterMetricFamily(
            "tapcut_webhooks",
            "Webhooks settled, by outcome; dropped: their job was gone.",
            labels=["outcome"],
        )
        for outcome in ("delivered", "given_up", "dropped"):
            webhooks.add_metric([outcome], getattr(metrics.webhooks, outcome))
        yield webhooks
        ended = CounterMetricFamily("tapcut_jobs_ended", "Jobs ended, by outcome.", labels=["outcome"])
        for outcome, count in metrics.finished_total.items():
            ended.add_metric([outcome], count)
        yield ended
        waits = HistogramMetricFamily(
            "tapcut_wait_seconds", "Seconds from a run's acceptance to its first attempt."
        )
        _add(waits, [], metrics.wait_seconds)
        yield waits
        runs = HistogramMetricFamily(
            "tapcut_run_seconds",
            "Seconds from a run's acceptance to its end, by outcome and number of objects.",
            labels=["outcome", "objects"],
        )
        for labels, histogram in metrics.run_seconds.items():
            _add(runs, list(labels), histogram)
        yield runs
        yield _by_stage(
            "tapcut_stage_seconds", "Seconds that a job spent in one call of a stage.", metrics.stage_seconds
        )
        yield _by_stage("tapcut_stage_batch_size", "Calls that shared a stage's batch.", metrics.batch_sizes)


def _by_stage(name: str, text: str, histograms: Mapping[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=["stage"])
    for stage, histogram in histograms.items():
        _add(family, [stage], histogram)
    return family


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    counts = map(float, histogram.cumulative)
    family.add_metric(labels, list(zip(bounds, counts, strict=True)), histogram.sum)
