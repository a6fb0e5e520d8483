"""Every key that tapcut has in Redis. No other file spells one.

The scripts read these same names: `lua_table` writes them into the prelude of each.
"""

from __future__ import annotations

from hashlib import sha256

from storage.job_metrics import RUN_BOUNDS

PREFIX = "tapcut:"

JOB = PREFIX + "job:"  # + job id: hash, the job
STATE = PREFIX + "state:"  # + state: set of job ids
EXPIRY = PREFIX + "expiry"  # zset: job id by expires_at
PICTURE = PREFIX + "picture:"  # + digest: set of the ids of the jobs on that picture
RUN_KEYS = PREFIX + "runkeys:"  # + job id: hash, idempotency key -> accepted run
UPLOAD_KEY = PREFIX + "uploadkey:"  # + hash of owner and key: string, reservation or answer
QUEUE = PREFIX + "queue"  # stream of tickets: one for each run that has not ended
TICKETS = PREFIX + "tickets"  # hash: stream entry -> id of the job that has it
WAITING = PREFIX + "waiting"  # zset: job id by order of acceptance, until a runner takes it
LANE = PREFIX + "lane:"  # + owner: zset, those of WAITING that are the owner's
TURNS = PREFIX + "turns"  # zset: owner by the tag of their lane; the lowest is next
USED = PREFIX + "used"  # hash: owner -> tag up to which they were served
TURN = PREFIX + "turn"  # tag of the job taken last
ORDER = PREFIX + "order"  # counter of acceptances
DEAD = PREFIX + "dead"  # stream of runs that were given up
OUTBOX = PREFIX + "outbox"  # zset: receiver (host[:port]) by when its next webhook is due
OUTBOX_OF = PREFIX + "outbox:"  # + receiver: zset, "{job id} {run}" by when it is due
WEBHOOKS = PREFIX + "webhooks:"  # + job id: hash; of each run that has one: document, url, tries, token
DEAD_WEBHOOKS = PREFIX + "deadwebhooks"  # stream of webhooks that were given up
STATS = PREFIX + "stats"  # hash of counters
STAGE_SECONDS = PREFIX + "stats:seconds"  # hash "stage|bucket" -> count, "stage|sum"
BATCH_SIZES = PREFIX + "stats:batches"  # likewise
WAIT_SECONDS = PREFIX + "stats:waits"  # hash "all|bucket" -> count, "all|sum"
RUN_SECONDS = PREFIX + "stats:runs"  # likewise "outcome objects|bucket"
EVENTS = PREFIX + "events:"  # + job id: channel
SWEEP = PREFIX + "sweep"  # string: token of the one that sweeps
RATE = PREFIX + "rate:"  # + owner: string, when the tenant's allowance is whole again, microseconds

GROUP = "runners"  # the consumer group of QUEUE
GIVEN_BACK = "given-back"  # the consumer that holds what a leaving runner gave back

BACKSTOP_S = 3600  # keys die by themselves this long after the sweep should have removed them
DEAD_KEPT = 10_000  # dead letters kept to look at


def upload_key(owner: str, key: str) -> str:
    """Where an upload's idempotency key is kept; clients' texts never become part of a key."""
    return UPLOAD_KEY + digest(f"{owner}\0{key}")


def digest(text: str) -> str:
    """Fixed-size name of a text of any size."""
    return sha256(text.encode()).hexdigest()


def lua_table() -> str:
    """The names above as a Lua table `K`."""
    names = {
        "job": JOB,
        "state": STATE,
        "expiry": EXPIRY,
        "picture": PICTURE,
        "run_keys": RUN_KEYS,
        "queue": QUEUE,
        "tickets": TICKETS,
        "waiting": WAITING,
        "lane": LANE,
        "turns": TURNS,
        "used": USED,
        "turn": TURN,
        "order": ORDER,
        "dead": DEAD,
        "outbox": OUTBOX,
        "outbox_of": OUTBOX_OF,
        "webhooks": WEBHOOKS,
        "dead_webhooks": DEAD_WEBHOOKS,
        "stats": STATS,
        "wait_seconds": WAIT_SECONDS,
        "run_seconds": RUN_SECONDS,
        "events": EVENTS,
        "group": GROUP,
        "given_back": GIVEN_BACK,
    }
    pairs = ", ".join(f"{name} = '{value}'" for name, value in names.items())
    bounds = ", ".join(f"{bound:g}" for bound in RUN_BOUNDS)
    numbers = f"backstop_s = {BACKSTOP_S}, dead_kept = {DEAD_KEPT}, run_bounds = {{{bounds}}}"
    return f"local K = {{{pairs}, {numbers}}}\n"
