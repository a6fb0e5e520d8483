"""One real service and one real S3 endpoint for the whole session, and how the tests share two processes.

`make test` runs two at a time: those of WITH_SERVICE in one process, in their order, and the others, file
by file, in whichever is free. Without `-n` all run in one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.object_storage import ObjectStorage, running_object_storage
from trials.service import LaunchedService, running_service

WITH_SERVICE = (
    "tests/clients/test_command.py",
    "tests/clients/test_python_client.py",
    "tests/clients/test_typescript_client.py",
    "tests/deploy/test_metrics.py",
    "tests/deploy/test_nginx.py",
    "tests/docs/test_examples.py",
    "tests/docs/test_extending.py",
    "tests/load_tests/test_personas.py",
    "tests/service/",
    "tests/trials/test_api.py",
    "tests/trials/test_chaos.py",
    "tests/trials/test_overload.py",
    "tests/trials/test_pictures.py",
    "tests/trials/test_soak.py",
    "tests/web/",
)
WEBHOOK_SECRET = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cyBmb3Igd2ViaG9va3M="


def _is_with_service(nodeid: str) -> bool:
    return nodeid.startswith(WITH_SERVICE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "service" in getattr(item, "fixturenames", ()) and not _is_with_service(item.nodeid):
            raise pytest.UsageError(f"{item.nodeid} would start a second service: add it to WITH_SERVICE")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class TestsOfServiceTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "service" if _is_with_service(nodeid) else nodeid.split("::")[0]

    return TestsOfServiceTogether(config, log)


@pytest.fixture(scope="session")
def service() -> Iterator[LaunchedService]:
    settings = {
        "LEASE_S": "2",
        "MAX_UPLOAD_MB": "2",
        "MAX_PIXELS": "4000000",
        "MAX_OBJECTS": "8",
        "MAX_QUEUED_JOBS": "12",
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "WEBHOOK_ALLOW_HTTP": "true",
        "WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
        "WEBHOOK_RETRY_S": "0.02",
        "WEBHOOK_TIMEOUT_S": "2",
        "RAY_metrics_report_interval_ms": "5000",  # a test looks for new series
    }
    with running_service(settings) as started:
        yield started


@pytest.fixture(scope="session")
def service_url(service: LaunchedService) -> str:
    return service.url


@pytest.fixture
def api(service_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def object_storage() -> Iterator[ObjectStorage]:
    with running_object_storage() as storage:
        yield storage
