"""`python -m trials.api`: property-based fuzzing of the HTTP API from its own OpenAPI document.

Owns the run and its table. Schemathesis generates the requests, valid and invalid, one call at a time
and in chains along the document's links; what is sent and demanded beyond the document is in
`api_rules`. Exit code 1 when any check failed or fewer cases ran than were asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from trials import api_rules
from trials.service import running_service

COVERAGE_CASES, CASES_AN_EXAMPLE = 950, 15  # about, to plan a run with
PHASES = ("examples", "coverage", "fuzzing", "stateful")
EXCLUSIONS = (
    "/docs, /app/ and their files: not in the OpenAPI document, they are pages and not calls",
    "422 to a body of /segment and /preview that fits the schema: no schema says that a point lies inside "
    "its picture; well_formed_prompt_is_taken demands acceptance where it can be known",
    "503 of /upload, /segment and /preview with Retry-After is no server error: queues are bounded",
    "/events is read for one event or 3 s: the stream of a job that nobody starts has no end",
    "use_after_free and ensure_resource_availability take an address's first part for a resource, here it is "
    "a verb: JobLives does their work",
)


@dataclass
class Outcome:
    """What a run did: answers by operation and phase, and each distinct failure with its command."""

    answers: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: dict[tuple[str, str, str], str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """Requests that were sent and answered."""
        return sum(counts["cases"] for counts in self.answers.values())


def fuzz(
    url: str,
    *,
    cases: int,
    seconds: float,
    seed: int,
    key: str | None = None,
    phases: tuple[str, ...] = PHASES,
) -> Outcome:
    """Fuzz the service at `url` with at least `cases` requests, for at most `seconds`.

    `key` is sent as bearer token where given; a document with a security scheme is then also tried
    without it. `phases` but the last two run once, for they have little that is random; the last two
    are repeated with fresh data until there are enough cases.
    """
    outcome, started, round_seed = Outcome(), time.monotonic(), seed
    story = api_rules.STORY = api_rules.Story()
    while outcome.cases < cases and time.monotonic() - started < seconds:
        left = cases - outcome.cases
        if round_seed == seed and "coverage" in phases:
            left -= COVERAGE_CASES
        examples = max(4, min(60, left // CASES_AN_EXAMPLE))
        chosen = phases if round_seed == seed else tuple(set(phases) & {"fuzzing", "stateful"})
        config = _config(url, round_seed, examples, key, chosen)
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config, headers=_headers(key))
        api_rules.install(schema)
        stream = from_schema(schema).execute()
        for event in stream:
            _record(event, outcome)
            if time.monotonic() - started > seconds:
                stream.stop()
        round_seed += 1
    for job_id in sorted(story.living):
        httpx.delete(f"{url}/cleanup/{job_id}", headers=_headers(key), timeout=60)
    # A call that never succeeds was tried at its refusals only.
    for operation in sorted({operation for operation, _ in outcome.answers}):
        if not any(counts["2xx"] for (name, _), counts in outcome.answers.items() if name == operation):
            outcome.failures[operation, "tried in full", "never answered 2xx"] = ""
    outcome.seconds = time.monotonic() - started
    return outcome


def _headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _config(
    url: str, seed: int, examples: int, key: str | None, phases: tuple[str, ...]
) -> SchemathesisConfig:
    prompts_may_not_fit = {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422", "503"]}
    }
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "base-url": url,
            "headers": _headers(key),
            "continue-on-failure": True,
            "request-timeout": 60,
            "max-stream-events": 1,
            "output": {"sanitization": {"enabled": False}},  # the commands are to be run as they are
            "generation": {"max-examples": examples, "database": "none"},
            "phases": {
                **{name: {"enabled": name in phases} for name in PHASES},
                "stateful": {"enabled": "stateful" in phases, "max-steps": 6},
            },
            "checks": {
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
                "missing_required_header": {"enabled": key is None},
            },
            "operations": [
                {"include-operation-id": ["segment", "preview"], "checks": prompts_may_not_fit},
                {"include-operation-id": "events", "request-timeout": 3},
            ],
        }
    )


def _record(event: events.EngineEvent, outcome: Outcome) -> None:
    if isinstance(event, events.NonFatalError):
        outcome.errors.append(f"{event.label}: {event.info.message}")
    elif isinstance(event, events.FatalError):
        outcome.errors.append(repr(event.exception))
    elif isinstance(event, events.EngineFinished):
        for failure in event.failures:
            outcome.failures.setdefault(("the whole run", failure.title, failure.message), "")
    elif isinstance(event, events.ScenarioFinished):
        for case_id, interaction in event.recorder.interactions.items():
            operation = event.recorder.cases[case_id].value.operation.label
            counts = outcome.answers[operation, event.phase.value]
            counts["cases"] += 1
            answer = interaction.response
            counts["none" if answer is None else f"{answer.status_code // 100}xx"] += 1
            for check in event.recorder.checks.get(case_id, ()):
                if check.status is Status.FAILURE and check.failure_info is not None:
                    counts["failed"] += 1
                    failure = check.failure_info.failure
                    where = (operation, check.name, failure.message)
                    outcome.failures.setdefault(where, check.failure_info.code_sample)


def table(outcome: Outcome) -> Iterator[str]:
    """The run as lines of text."""
    heads = ("cases", "2xx", "3xx", "4xx", "5xx", "none", "failed")
    yield f"{'operation':36}{'phase':10}" + "".join(f"{head:>8}" for head in heads)
    total: Counter[str] = Counter()
    for (operation, phase), counts in sorted(
        outcome.answers.items(), key=lambda item: (item[0][0], PHASES.index(item[0][1]))
    ):
        yield f"{operation:36}{phase:10}" + "".join(f"{counts[head]:8}" for head in heads)
        total += counts
    yield f"{'all':36}{'':10}" + "".join(f"{total[head]:8}" for head in heads)


def report(outcome: Outcome) -> None:
    """Print the table, each distinct failure with its command, and what was left out."""
    print("\n".join(table(outcome)))
    for (operation, check, message), command in outcome.failures.items():
        print(f"\nFAILED {operation}: {check}: {message}\n  {command[:2000]}")
    for error in outcome.errors:
        print(f"\nERROR {error}")
    print("\nNot demanded, and why:")
    for line in EXCLUSIONS:
        print(f"- {line}")
    print(
        f"\n{outcome.cases} cases in {outcome.seconds:.0f} s, "
        f"{len(outcome.failures)} distinct failures, {len(outcome.errors)} errors"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the trial. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trials.api", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=2500, help="fewest requests (default 2500)")
    parser.add_argument("--seconds", type=float, default=900, help="longest time (default 900)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="a running service; default: one is started")
    parser.add_argument("--key", help="API key to send as bearer token to --url")
    parser.add_argument(
        "--with-key", action="store_true", help="start the service with an API key, and use it"
    )
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        url, key = options.url, options.key
        if url is None:
            settings = {"MAX_UPLOAD_MB": "2", "MAX_PIXELS": "4000000", "MAX_OBJECTS": "8"}
            if options.with_key:
                settings["API_KEYS"] = key = secrets.token_urlsafe(32)
            url = stack.enter_context(running_service(settings)).url
        outcome = fuzz(url, cases=options.cases, seconds=options.seconds, seed=options.seed, key=key)
    report(outcome)
    return 1 if outcome.failures or outcome.errors or outcome.cases < options.cases else 0


if __name__ == "__main__":
    sys.exit(main())
