"""The service's one tree of settings.

Owns every setting's name, unit, range and default, and where it is read from: `args:` of the serve
config win over the environment, which wins over `.env`. A key nobody knows fails the start by name.
Read once, then handed down as a value; nothing else in the project reads the environment.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deployments.http.keys import parse_keys
from engine.cache_folder import default_cache_folder
from engine.types import Device


class SettingsError(Exception):
    """A setting is unknown or out of range; the message names it and says how to mend it."""


class Settings(BaseSettings):
    """All settings, frozen. In the environment and in files the names are upper case."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="forbid",
        frozen=True,
        case_sensitive=False,
        env_ignore_empty=True,
        hide_input_in_errors=True,  # an input may be a key
    )

    host: str = Field("127.0.0.1", description="Address that the HTTP proxy listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that the HTTP proxy listens on.")
    workers: int = Field(1, ge=1, le=256, description="Replicas of the HTTP ingress.")
    log_level: str = Field(
        "info", pattern="(?i)^(debug|info|warning|error)$", description="Least severe log line kept."
    )

    max_image_size: int = Field(
        1024,
        ge=64,
        le=16384,
        description="Longest side of `original.png`, px; larger uploads are scaled down to it.",
    )
    max_upload_mb: float = Field(50, gt=0, le=2048, description="Largest upload, MB (10^6 bytes).")
    max_pixels: int = Field(
        64_000_000, ge=1024, description="Largest upload, pixels, read from the header before decoding."
    )
    decode_timeout_s: float = Field(
        20, gt=0, le=50, description="Longest decoding of one upload before it is refused, s."
    )
    max_objects: int = Field(32, ge=1, le=1000, description="Most objects in one `/segment` call.")
    max_queued_jobs: int = Field(
        256, ge=1, description="Most jobs waiting; beyond it `/segment` answers 503."
    )
    max_queued_jobs_per_key: int = Field(
        64, ge=1, description="Most jobs of one API key waiting; beyond it its `/segment` answers 429."
    )

    device: Device = Field(Device.AUTO, description="Where the networks run: `auto`, `cpu` or `cuda`.")
    threads: int = Field(
        0, ge=0, le=1024, description="Threads of one network on a CPU; 0 = all cores of the machine."
    )
    mobile_sam_checkpoint: Path | None = Field(
        None, description="MobileSAM checkpoint; unset: released, else bundled."
    )
    lama_checkpoint: Path | None = Field(None, description="LaMa checkpoint; unset: released, else bundled.")
    checkpoint_download: bool = Field(True, description="Whether the released checkpoints may be fetched.")
    cache_dir: Path = Field(
        default_factory=default_cache_folder,
        description="Released checkpoints and compiled networks are kept here.",
    )

    work_dir: Path = Field(Path("jobs"), description="Folder of jobs and artifacts, shared by all replicas.")
    redis_url: str = Field("", description="Redis with AOF; unset: `make serve` starts one of its own.")
    job_ttl_s: float = Field(
        86_400, ge=1, description="Life of a job after its last upload or `/segment`, s."
    )
    embedding_ttl_s: float = Field(
        86_400, ge=1, description="Life of a picture's embedding after its last use, s."
    )
    lease_s: float = Field(
        6, ge=1, le=300, description="A job whose runner is silent this long is taken over, s."
    )
    max_tries: int = Field(3, ge=1, le=20, description="Runs of one job before it ends as `error`.")
    job_timeout_s: float = Field(
        900, ge=1, description="Longest run of one job before it ends as `error`, s."
    )

    min_free_mb: float = Field(
        256,
        ge=0,
        description="New work gets 503 while WORK_DIR's volume has less room than this, MB (10^6 bytes).",
    )
    stale_s: float = Field(
        3600,
        ge=5,
        description="Files that a crash left without a job are removed after this long, s.",
    )

    inpaint_sizes: tuple[int, ...] = Field(
        (256, 512), description="Side lengths of the squares that the inpainter works on, px, multiples of 8."
    )
    api_keys: str = Field(
        "",
        description="Keys that clients must bring, parted by commas or lines: `key`, `name=key` or "
        "`name=sha256:<hex>`. Held as hashes. Unset: open to everybody.",
    )
    rate_per_minute: int = Field(
        0, ge=0, le=100_000, description="Calls that a key may make a minute in the long run; 0 = no limit."
    )
    rate_burst: int = Field(
        30, ge=1, le=10_000, description="Calls that a key may make at once after a pause."
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may call the API, parted by commas; `*` = any. Unset: none."
    )

    @field_validator("api_keys")
    @classmethod
    def _hash_keys(cls, value: str) -> str:
        # From here on, and in whatever is printed or sent on, only the hashes exist.
        return ",".join(tenant.entry for tenant in parse_keys(value))

    @field_validator("cors_origins")
    @classmethod
    def _exact_origins(cls, value: str) -> str:
        origins = list(filter(None, (part.strip() for part in re.split(r"[,\s]", value))))
        if "*" in origins and len(origins) > 1:
            raise ValueError("* already means every origin: give it alone, or the others without it")
        for origin in origins:
            if origin != "*" and not re.fullmatch(
                r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?", origin
            ):
                raise ValueError(
                    f"{origin[:80]} is not an origin: write https://host or https://host:port in lower case, "
                    "without a path or a slash at the end"
                )
        return ",".join(dict.fromkeys(origins))

    @field_validator("inpaint_sizes")
    @classmethod
    def _sizes_fit_network(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if not sizes or any(size < 64 or size % 8 for size in sizes):
            raise ValueError("needs at least one size, each a multiple of 8 and at least 64")
        return tuple(sorted(set(sizes)))

    @model_validator(mode="after")
    def _absolute_paths(self) -> Self:
        # Replicas run in other working directories than the one that the settings were read in.
        for name in ("work_dir", "cache_dir", "mobile_sam_checkpoint", "lama_checkpoint"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, path.expanduser().absolute())
        return self

    def as_args(self) -> dict[str, Any]:
        """All settings as `args:` of a serve config: upper-case names, JSON values."""
        return {
            name.upper(): value for name, value in self.model_dump(mode="json").items() if value is not None
        }


def read_settings(args: Mapping[str, Any] | None = None) -> Settings:
    """Settings from `args` (upper- or lower-case names), the environment and `.env`, in that order.

    Raises:
        SettingsError: a key is unknown, or a value is out of range; every one is named.
    """
    _refuse_near_misses(os.environ)
    try:
        return Settings(**{name.lower(): value for name, value in (args or {}).items()})
    except ValidationError as error:
        problems = [_describe(item["loc"], item["type"], item["msg"]) for item in error.errors()]
        raise SettingsError("; ".join(problems)) from error


def _describe(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    name = str(loc[0]).upper() if loc else "settings"
    if kind != "extra_forbidden":
        return f"setting {name}: {message}"
    close = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1, cutoff=0.6)
    return f"unknown setting {name}" + (f": did you mean {close[0].upper()}?" if close else "")


def _refuse_near_misses(environment: Mapping[str, str]) -> None:
    # The environment holds other programs' variables, so only a name one slip away from ours is refused.
    known = [name.upper() for name in Settings.model_fields if len(name) >= 6]
    for name in environment:
        if name.lower() in Settings.model_fields or len(name) < 6:
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
        if close and abs(len(close[0]) - len(name)) <= 1:
            raise SettingsError(f"unknown setting {name} in the environment: did you mean {close[0]}?")
