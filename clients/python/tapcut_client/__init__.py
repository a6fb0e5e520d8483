"""Python client of tapcut. `Client` and `AsyncClient` have the same calls; start with either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapcut_client.async_client import AsyncClient
    from tapcut_client.client import Client
    from tapcut_client.errors import (
        ApiError,
        BadAddress,
        Conflict,
        ConnectionFailed,
        DownloadBroken,
        InvalidPicture,
        InvalidRequest,
        JobFailed,
        NotFound,
        RateLimited,
        ServiceUnavailable,
        TapcutError,
        Unauthorized,
        WaitTimeout,
    )
    from tapcut_client.models import ObjectPrompt, ObjectResult, Preview, Status, Upload
    from tapcut_client.retry import RetryPolicy

# Imported when first asked for: httpx takes longer than all else of the command's start.
_MODULES = {
    "ApiError": "errors",
    "AsyncClient": "async_client",
    "BadAddress": "errors",
    "Client": "client",
    "Conflict": "errors",
    "ConnectionFailed": "errors",
    "DownloadBroken": "errors",
    "InvalidPicture": "errors",
    "InvalidRequest": "errors",
    "JobFailed": "errors",
    "NotFound": "errors",
    "ObjectPrompt": "models",
    "ObjectResult": "models",
    "Preview": "models",
    "RateLimited": "errors",
    "RetryPolicy": "retry",
    "ServiceUnavailable": "errors",
    "Status": "models",
    "TapcutError": "errors",
    "Unauthorized": "errors",
    "Upload": "models",
    "WaitTimeout": "errors",
}

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadAddress",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "DownloadBroken",
    "InvalidPicture",
    "InvalidRequest",
    "JobFailed",
    "NotFound",
    "ObjectPrompt",
    "ObjectResult",
    "Preview",
    "RateLimited",
    "RetryPolicy",
    "ServiceUnavailable",
    "Status",
    "TapcutError",
    "Unauthorized",
    "Upload",
    "WaitTimeout",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tapcut_client' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tapcut_client.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
