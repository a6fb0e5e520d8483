"""Python client of tapcut. `Client` and `AsyncClient` have the same calls; start with either."""

from tapcut_client.async_client import AsyncClient
from tapcut_client.client import Client
from tapcut_client.errors import (
    ApiError,
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

__all__ = [
    "ApiError",
    "AsyncClient",
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
