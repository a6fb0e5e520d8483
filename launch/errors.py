"""Why a service does not start, or does not go on."""

from __future__ import annotations


class LaunchError(Exception):
    """The service cannot be started; the message says why and how to mend it."""


class RayEndedError(Exception):
    """One of Ray's own processes has ended, and nothing can be served without it."""
