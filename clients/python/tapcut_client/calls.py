"""The one description of a client's construction, shared by `Client` and `AsyncClient`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tapcut_client.defaults import VERSION
from tapcut_client.errors import BadAddress, TapcutError
from tapcut_client.models import ObjectPrompt, Point
from tapcut_client.steps import Reply, Send

DEFAULT_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


def address_of(base_url: str) -> httpx.URL:
    """The service's address.

    Raises:
        BadAddress: it is none.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise BadAddress(f"{base_url!r} is not the address of a service: write http://host:port")
    return url


def headers_for(api_key: str | None) -> dict[str, str]:
    """Headers of every request.

    Raises:
        TapcutError: the key holds characters that no header can carry.
    """
    headers = {"User-Agent": f"tapcut-client/{VERSION}"}
    if api_key is not None:
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise TapcutError("the API key holds spaces, line ends or characters beyond ASCII: copy it again")
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


def arguments_of(step: Send, timeout: httpx.Timeout) -> dict[str, Any]:
    """The step as arguments of httpx's `stream`."""
    arguments: dict[str, Any] = {
        "method": step.method,
        "url": step.path,
        "params": dict(step.params),
        "headers": dict(step.headers),
    }
    if step.json is not None:
        arguments["json"] = step.json
    if step.file is not None:
        arguments["files"] = {"file": step.file}
    if step.read_timeout_s is not None:
        arguments["timeout"] = httpx.Timeout(
            connect=timeout.connect, read=step.read_timeout_s, write=timeout.write, pool=timeout.pool
        )
    return arguments


def head_of(response: httpx.Response) -> Reply:
    """Status and headers of an answer."""
    headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, b"")


def objects_of(
    points: Sequence[Point] | None, objects: Sequence[ObjectPrompt] | None
) -> Sequence[ObjectPrompt]:
    """Taps (one object each) or whole prompts.

    Raises:
        TapcutError: none, or both, are given; or the points are no pairs.
    """
    if (points is None) == (objects is None):
        raise TapcutError("give either points (one tap an object) or objects")
    for point in points if points is not None else ():
        try:
            _x, _y = point
        except (TypeError, ValueError) as error:
            raise TapcutError(
                f"{point!r} is not a point: points are a list of pairs, as in [(250, 300)]"
            ) from error
    return [ObjectPrompt([point]) for point in points] if points is not None else list(objects or ())
