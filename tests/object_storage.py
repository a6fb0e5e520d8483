"""A real S3 endpoint over HTTP for tests: moto's server in a thread, on a free port."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from trials.service import free_port

PREFIX = "tapcut/test/"


class ObjectStorage:
    """The endpoint. It can be stopped and started; what it holds stays."""

    def __init__(self) -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._server: Any = None

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def new_bucket(self) -> Bucket:
        name = f"tapcut-{uuid4().hex}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        urllib.request.urlopen(request, timeout=10).close()
        return Bucket(name, self.endpoint)


class Bucket:
    """One bucket, seen from behind: what lies in it, and since when."""

    def __init__(self, name: str, endpoint: str) -> None:
        self.name = name
        self.endpoint = endpoint
        self.url = f"s3://{name}/{PREFIX[:-1]}?endpoint={endpoint}&region=eu-central-1"

    def names(self) -> set[str]:
        return {name.removeprefix(PREFIX) for name in self._bucket().keys}

    def age(self, name: str, seconds: float) -> None:
        self._bucket().keys[PREFIX + name].last_modified -= timedelta(seconds=seconds)

    def forget(self, name: str) -> None:
        del self._bucket().keys[PREFIX + name]

    def add(self, name: str, data: bytes) -> None:
        self._backend().put_object(self.name, PREFIX + name, data)

    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends["123456789012"]["aws"]

    def _bucket(self) -> Any:
        return self._backend().buckets[self.name]


@contextmanager
def running_object_storage() -> Iterator[ObjectStorage]:
    storage = ObjectStorage()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "tests")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "the secret of the tests")
        storage.start()
        try:
            yield storage
        finally:
            storage.stop()
