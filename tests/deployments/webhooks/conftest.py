from __future__ import annotations

from tests.storage.conftest import storage_redis, store

__all__ = ["storage_redis", "store"]
