"""The wish to end or to reload, as it comes by signals."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress


class StopSignal:
    """Set by Ctrl-C or SIGTERM; SIGHUP asks for a reload.

    A pipe rather than `threading.Event`: a handler that runs inside `Event.wait` waits for ever for the
    lock that the interrupted wait holds.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._reload = False

    def listen(self) -> None:
        """Set on SIGINT and SIGTERM from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.set())
        signal.signal(signal.SIGHUP, lambda *_: self._ask_reload())

    def _ask_reload(self) -> None:
        self._reload = True

    def take_reload(self) -> bool:
        """Whether a reload was asked for since the last call."""
        asked, self._reload = self._reload, False
        return asked

    def set(self) -> None:
        """Ask the service to end; may be called again and from a signal handler."""
        with suppress(BlockingIOError):
            os.write(self._write, b"x")

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is set, after at most `seconds`."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        return bool(ready)

    def is_set(self) -> bool:
        """Whether it is set."""
        return self.wait(0)
