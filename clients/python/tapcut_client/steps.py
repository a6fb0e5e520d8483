"""What an operation asks of its client, step by step.

An operation (see `operations.py`) is a generator: it yields steps and is sent what came of them, or
has the transport's exception thrown in. So all logic (retries, resuming, waiting) is written once,
and `Client` and `AsyncClient` only carry steps out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, headers (lower-case names), body (empty where it was streamed)."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send one request; answered with a `Reply`.

    `file` is sent as the multipart field "file". With `on_chunk` a successful body is not kept but
    handed over in pieces as it arrives; it may answer True to stop. Raises httpx.TransportError
    into the operation.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    file: tuple[str, BinaryIO] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    read_timeout_s: float | None = None  # None: the client's own
    on_reply: Callable[[Reply], None] | None = None  # before the first chunk
    on_chunk: Callable[[bytes], bool | None] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that many seconds; answered with nothing."""

    seconds: float


Step = Send | Pause
# What comes back depends on the step: a Reply for Send, nothing for Pause.
Operation = Generator[Step, Any, Answer]
