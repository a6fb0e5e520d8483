"""Pages of other sites: neither a blind post nor a rebound name gets in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from settings import SettingsError, read_settings
from tests.deployments.http.test_access import NOBODY

SHOP = "https://shop.example"
SEGMENT = f"/segment?job_id={NOBODY}&coordinates_list=[[1,1]]"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_sites_page_cannot_post_or_delete(serve: Callable[..., Any], site: str) -> None:
    headers = {"Origin": SHOP, "Sec-Fetch-Site": site}
    async with serve(API_KEYS="") as running, running.client() as browser:
        for method, path in (("POST", SEGMENT), ("POST", "/upload"), ("DELETE", f"/cleanup/{NOBODY}")):
            answer = await browser.request(method, path, headers=headers)
            assert answer.status_code == 403 and "CORS_ORIGINS" in answer.json()["detail"]
            assert answer.headers["content-type"] == "application/problem+json"
        # A link to the service from another site works.
        assert (await browser.get("/", headers=headers)).status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none", None])
async def test_the_own_page_and_programs_pass(serve: Callable[..., Any], site: str | None) -> None:
    headers = {"Sec-Fetch-Site": site} if site else {}
    async with serve(API_KEYS="") as running, running.client() as client:
        assert (await client.post(SEGMENT, headers=headers)).status_code == 404


@pytest.mark.parametrize("origins", [SHOP, "*"])
async def test_a_configured_origin_may_post(serve: Callable[..., Any], origins: str) -> None:
    headers = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site"}
    async with serve(API_KEYS="", CORS_ORIGINS=origins) as running, running.client() as browser:
        answer = await browser.post(SEGMENT, headers=headers)
        assert answer.status_code == 404 and answer.headers["access-control-allow-origin"] in (SHOP, "*")


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("localhost:8000", True),
        ("LOCALHOST", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("evil.example:8000", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
async def test_only_the_services_names_are_answered(
    serve: Callable[..., Any], host: str, passes: bool
) -> None:
    hosts = "localhost, 127.0.0.1, [::1]"
    async with serve(API_KEYS="", ALLOWED_HOSTS=hosts) as running, running.client() as browser:
        answer = await browser.get("/", headers={"Host": host})
    assert answer.status_code == (200 if passes else 403)
    assert passes or "ALLOWED_HOSTS" in answer.json()["detail"]


def test_a_name_with_a_scheme_or_port_is_refused() -> None:
    for wrong in ("https://a.example", "a.example:8000", "a.example/app"):
        with pytest.raises(SettingsError, match="ALLOWED_HOSTS"):
            read_settings({"ALLOWED_HOSTS": wrong})
