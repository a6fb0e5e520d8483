"""The code in the pages does what the pages say, against a running service."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs.draw_photo import draw
from settings import read_settings
from storage.redis_server import start_redis
from tests.conftest import WEBHOOK_SECRET
from tests.docs.pages import LANGUAGES, ROOT, blocks_of, prints, program_for, run_page, runnable
from tests.web.keyed_service import KeyedService

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
KEY = "key-of-the-pages-examples"  # as the pages write it
TOOLS = {"bash": ("bash", "curl"), "python": (), "js": ("node",)}
RUN = [
    ("README.md", "bash"),
    ("docs/quickstart.md", "bash"),
    ("docs/quickstart.md", "python"),
    ("docs/api.md", "bash"),
    ("docs/api.md", "python"),
    ("docs/api.md", "js"),
    ("docs/migrating.md", "python"),
    ("clients/python/README.md", "python"),
]


@pytest.fixture(scope="session")
def keyed_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small service that asks for a key and holds it to a rate."""
    folder = tmp_path_factory.mktemp("keyed")
    with start_redis(folder, fsync="everysec") as redis:
        settings = read_settings(
            {
                "API_KEYS": KEY,
                "RATE_PER_MINUTE": 60,
                "RATE_BURST": 3,
                "REDIS_URL": redis.url,
                "WORK_DIR": str(folder / "jobs"),
            }
        )
        with KeyedService(settings).started() as service:
            yield service.url


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(("page", "language"), RUN)
def test_every_block_of_the_page_runs_and_prints_what_it_says(
    page: str, language: str, service_url: str, keyed_url: str, tmp_path: Path
) -> None:
    missing = [tool for tool in TOOLS[language] if not shutil.which(tool)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    shutil.copy(DOCS / "photo.jpg", tmp_path)
    replaced = {
        "http://127.0.0.1:8000": service_url,
        "http://localhost:8000": service_url,
        "https://tapcut.example.com": keyed_url,
        "127.0.0.1:8080": f"127.0.0.1:{free_port()}",
        "cp docs/photo.jpg .": "true",
        "sleep 1": "sleep 0.1",
        ".show()": ".load()",  # no windows on whoever's screen
    }
    replaced["8080"] = replaced["127.0.0.1:8080"].rpartition(":")[2]
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "TAPCUT_URL": service_url,
    }
    run_page(ROOT / page, language, tmp_path, replaced, environment)


def test_code_is_run_or_says_why_not() -> None:
    forgotten = []
    for page in PAGES:
        for block in blocks_of(page):
            name = str(page.relative_to(ROOT))
            if (
                block.language in LANGUAGES
                and not block.not_run
                and not block.file
                and (name, block.language) not in RUN
            ):
                forgotten.append(f"{name}:{block.line}")
    assert not forgotten


def test_every_page_named_here_has_blocks_and_what_runs_them_is_known() -> None:
    for page, language in RUN:
        assert runnable(ROOT / page, language), f"{page} has no {language}"
    assert program_for("python") == sys.executable


@pytest.mark.parametrize(
    ("said", "output", "same"),
    [
        ('{"a": 1}', '{"a":1}\n', True),
        ('{"a": 1, ...}', '{"a":1,"b":2}', True),
        ('{"a": 1, ...}', '{"a":2,"b":2}', False),
        ("ready", "not ready", False),
    ],
)
def test_output_is_compared_but_for_what_the_page_leaves_out(said: str, output: str, same: bool) -> None:
    assert prints(said, output) is same


def test_picture_of_the_examples_is_the_drawn_one() -> None:
    kept = np.asarray(Image.open(DOCS / "photo.jpg"), dtype=float)
    assert abs(kept - np.asarray(draw(), dtype=float)).mean() < 4
