"""The table of a chaos trial, and which promises it found broken.

Owns the limits that are promised and their comparison with what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from trials.chaos_audit import Findings
from trials.chaos_load import Ledger
from trials.chaos_strike import Row, deleted_jobs

RECOVERY_S = 15.0
# The controller looks every second, waits two for an answer, believes three failures, and starts anew.
PROXY_RECOVERY_S = 3 * (1 + 2) + 6.0
# Three health checks of three seconds two seconds apart, the lease of another runner's job, and the walk.
HANG_RECOVERY_S = 3 * (2 + 3) + 10.0
SLOWER = {"proxy": PROXY_RECOVERY_S, "hang": HANG_RECOVERY_S}
NOT_BOUNDED = ("redeploy",)  # lasts as long as the stages take to start; no request may fail meanwhile
MORE_FILES = 50  # open at the end than twice those at the start


def print_table(rows: Mapping[str, Row], baseline_s: float) -> None:
    """One line for each fault."""
    head = ("fault", "injected", "jobs in flight", "requests failed", "sent again", "lost", "stuck")
    print("\n| " + " | ".join((*head, "committed twice", "recovery p50", "max", "no answer, max")) + " |")
    print("|" + "---|" * (len(head) + 4))
    for name, row in rows.items():
        counts = (row.injected, row.in_flight, len(row.failed), row.retried)
        ends = (row.lost, row.stuck, row.duplicates)
        times = (median(row.recoveries_s), max(row.recoveries_s)) if row.recoveries_s else ()
        cells = [name, *map(str, (*counts, *ends)), *(f"{one:.1f} s" for one in times)]
        cells += ["none"] * (len(head) + 3 - len(cells))
        cells.append(f"{max(row.gaps_s):.1f} s" if row.gaps_s else "")
        print("| " + " | ".join(cells) + " |")
    print(
        "\nrecovery: from the fault to the end of a job that is sent after it; "
        f"without a fault such a job takes {baseline_s:.1f} s under this load"
    )


def print_totals(ledger: Ledger, findings: Findings) -> None:
    """What the load was and what the audit looked at."""
    calls = ledger.calls
    print(
        f"{len(ledger.jobs)} jobs accepted: {findings.ready} ready, {findings.errors} error, "
        f"{deleted_jobs(ledger)} deleted; {findings.files_checked} downloads checked; "
        f"{calls.sent} calls, {calls.retried} sent again, {len(calls.failures)} failed; "
        f"slowest refusal {calls.slowest_refusal_s:.1f} s; "
        f"{findings.unanswered_uploads} uploads were recorded whose answer was lost"
    )
    for what, count in sorted(calls.refusals.items(), key=lambda item: -item[1]):
        print(f"  sent again {count} times after: {what}")


def broken_promises(
    rows: Mapping[str, Row],
    ledger: Ledger,
    findings: Findings,
    least_jobs: int,
    recovery_s: float = RECOVERY_S,
) -> Iterator[str]:
    """Each broken promise in words."""
    yield from ledger.wrong_answers
    yield from findings.all
    for name, row in rows.items():
        yield from (f"{name}: {failure}" for failure in row.failed)
        limit = max(recovery_s, SLOWER.get(name, 0))
        if name not in NOT_BOUNDED and row.recoveries_s and max(row.recoveries_s) > limit:
            yield f"{name}: recovery took {max(row.recoveries_s):.1f} s, more than {limit:g} s"
        if not row.injected:
            yield f"{name}: not injected, no time was left"
        for what, count in (("lost", row.lost), ("stuck", row.stuck), ("committed twice", row.duplicates)):
            if count:
                yield f"{name}: {count} jobs {what}"
    stuck = sum(job.stuck for job in ledger.jobs.values()) - sum(row.stuck for row in rows.values())
    if stuck > 0:
        yield f"{stuck} more jobs stuck"
    expected_errors = 1 if "poison" in rows else 0
    if findings.errors > expected_errors:
        errors = {job.ended["error"] for job in ledger.jobs.values() if job.ended and job.ended["error"]}
        yield f"{findings.errors} jobs ended as error, {expected_errors} expected: {sorted(errors)}"
    if len(ledger.jobs) < least_jobs:
        yield f"only {len(ledger.jobs)} of {least_jobs} jobs were accepted"


def grown_files(before: Mapping[str, int], now: Mapping[str, int]) -> Iterator[str]:
    """Processes that hold many more open files than at the start, by name."""
    for name, count in now.items():
        if name in before and count > 2 * before[name] + MORE_FILES:
            yield f"{name} holds {count} open files, {before[name]} at the start"
