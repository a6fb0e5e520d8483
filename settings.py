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
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from deployments.http.keys import parse_keys
from deployments.webhooks.addresses import Allowance
from deployments.webhooks.secret import secret_bytes
from engine.cache_folder import default_cache_folder
from engine.types import Device, Precision
from storage.store_url import parse_store_url

SECRETS = ("redis_url", "webhook_secret")  # not in `as_args`
_PATHS = ("work_dir", "cache_dir", "mobile_sam_checkpoint", "lama_checkpoint")

LOOPBACK_NAMES = "localhost,127.0.0.1,[::1]"
# In the environment and in `.env` with commas between; NoDecode: else only JSON lists could be read there.
Numbers = Annotated[tuple[int, ...], NoDecode]


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
    ray_metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of loopback at which `make serve` exports Ray's own series to Prometheus; 0 = any.",
    )
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
    max_json_mb: float = Field(
        16, gt=0, le=256, description="Largest body of any other call, MB; objects' own masks are in it."
    )
    head_timeout_s: float = Field(
        10, gt=0, le=600, description="Longest that a request's line and headers may take to arrive, s."
    )
    body_silence_s: float = Field(
        15, gt=0, le=600, description="Longest pause in an arriving body, s; then it is refused."
    )
    body_timeout_s: float = Field(
        120, gt=0, le=3600, description="Longest that a whole body may take to arrive, s."
    )
    max_pixels: int = Field(
        64_000_000, ge=1024, description="Largest upload, pixels, read from the header before decoding."
    )
    decode_timeout_s: float = Field(
        20, gt=0, le=50, description="Longest decoding of one upload before it is refused, s."
    )
    max_objects: int = Field(32, ge=1, le=1000, description="Most objects in one `/segment` call.")
    max_queued_jobs: int = Field(
        256, ge=1, description="Most jobs waiting; beyond it `/upload` and `/segment` answer 503."
    )
    max_queued_jobs_per_key: int = Field(
        64, ge=1, description="Most jobs of one API key waiting; beyond it its `/segment` answers 429."
    )

    device: Device = Field(
        Device.AUTO,
        description="Where the networks run: `auto` (GPUs, if Ray knows of one at the deployment), `cpu` or "
        "`cuda`.",
    )
    encoder_gpu: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Share of a GPU that a replica of the image encoder takes and holds its memory to.",
    )
    decoder_gpu: float = Field(0.2, gt=0, le=1, description="The same of the prompt decoder.")
    inpainter_gpu: float = Field(0.5, gt=0, le=1, description="The same of the inpainter.")
    network_cpus: float = Field(
        1, ge=0, le=1024, description="CPUs that Ray reserves for a replica with a network."
    )
    precision: Precision = Field(
        Precision.AUTO,
        description="Arithmetic of the networks: `fp32`, `bf16`, `int8` (LaMa's; the others stay in fp32), "
        "`int8+bf16` (LaMa's; the others in bf16), or `auto`: what is fastest on this processor and leaves "
        "masks and fills as they are.",
    )
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

    work_dir: Path = Field(
        Path("jobs"),
        description="Folder of jobs and artifacts, shared by all nodes; with STORE_URL s3:// "
        "each node's own.",
    )
    store_url: str = Field(
        "",
        description="Where artifacts are kept: `file:///folder` or "
        "`s3://bucket/prefix?endpoint=http://host:port&region=...`; unset: in WORK_DIR.",
    )
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

    inpaint_sizes: Numbers = Field(
        (256, 320, 384, 448, 512),
        description="Side lengths of the squares that the inpainter works on, px, multiples of 8; few "
        "of them where squares of different jobs shall share a batch.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Signs webhooks: `whsec_` and the base64 of 24 bytes or more; unset: no webhooks.",
    )
    webhook_tries: int = Field(10, ge=1, le=30, description="Posts of one webhook before it is given up.")
    webhook_retry_s: float = Field(
        1, gt=0, le=60, description="Wait before a webhook's second try, s; the later ones grow with it."
    )
    webhook_timeout_s: float = Field(10, ge=1, le=60, description="Longest post of a webhook, s.")
    webhook_ports: Numbers = Field(
        (443, 8443), description="Ports that webhooks may go to; with WEBHOOK_ALLOW_HTTP also 80 and 8080."
    )
    webhook_allow_http: bool = Field(False, description="Whether a `callback_url` may be http.")
    webhook_allow_private: str = Field(
        "",
        description="Hosts and CIDR blocks, with commas between, that webhooks may go to on any port "
        "although they are not on the public internet.",
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

    allowed_hosts: str = Field(
        "",
        description="Names that the service may be called by (`Host`), parted by commas; unset: any, but "
        "`make serve` on loopback without API_KEYS takes loopback's names only.",
    )

    @field_validator("store_url")
    @classmethod
    def _store_is_one(cls, url: str) -> str:
        if url:
            parse_store_url(url)
        return url

    @field_validator("redis_url")
    @classmethod
    def _redis_is_one(cls, url: str) -> str:
        if url:
            from storage.redis_connection import require_redis_url  # redis-py takes its time to import

            require_redis_url(url)
        return url

    @field_validator("allowed_hosts")
    @classmethod
    def _names_only(cls, value: str) -> str:
        names = list(filter(None, (part.strip().lower() for part in re.split(r"[,\s]", value))))
        for name in names:
            if not re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:]+\]", name):
                raise ValueError(f"{name[:80]} is not a host name: write it without scheme, port and path")
        return ",".join(names)

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

    @field_validator("webhook_secret")
    @classmethod
    def _secret_is_one(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            secret_bytes(secret.get_secret_value())
        return secret

    @field_validator("inpaint_sizes", "webhook_ports", mode="before")
    @classmethod
    def _split_numbers(cls, value: Any) -> Any:
        return _entries(value.strip().strip("[]")) if isinstance(value, str) else value

    @field_validator("webhook_ports")
    @classmethod
    def _ports_exist(cls, ports: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= port <= 65535 for port in ports):
            raise ValueError("has a number that is no port: each is 1 to 65535")
        return ports

    @field_validator("webhook_allow_private")
    @classmethod
    def _hosts_are_named(cls, entries: str) -> str:
        Allowance.of(_entries(entries))
        return entries

    @field_validator("inpaint_sizes")
    @classmethod
    def _sizes_fit_network(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if not sizes or any(size < 64 or size % 8 for size in sizes):
            raise ValueError("needs at least one size, each a multiple of 8 and at least 64")
        return tuple(sorted(set(sizes)))

    @field_validator(*_PATHS)
    @classmethod
    def _home_is_known(cls, path: Path | None) -> Path | None:
        try:
            return path and path.expanduser()
        except RuntimeError as error:
            raise ValueError(f"{path}: nobody knows where ~ is here; write the whole path") from error

    @model_validator(mode="after")
    def _absolute_paths(self) -> Self:
        # Replicas run in other working directories than the one that the settings were read in.
        for name in _PATHS:
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, path.absolute())
        return self

    @property
    def webhook_private_hosts(self) -> tuple[str, ...]:
        """The entries of `webhook_allow_private`."""
        return _entries(self.webhook_allow_private)

    def as_args(self) -> dict[str, Any]:
        """All settings but the secret ones as `args:` of a serve config: upper-case names, JSON values."""
        fields = self.model_dump(mode="json", exclude=set(SECRETS))
        return {name.upper(): value for name, value in fields.items() if value is not None}

    def as_environment(self) -> dict[str, str]:
        """The secret settings as variables for the replicas' environment: Ray writes `args:` into its log."""
        secret = self.webhook_secret.get_secret_value() if self.webhook_secret is not None else ""
        return {"REDIS_URL": self.redis_url, "WEBHOOK_SECRET": secret}


def read_settings(args: Mapping[str, Any] | None = None) -> Settings:
    """Settings from `args` (upper- or lower-case names), the environment and `.env`, in that order.

    Raises:
        SettingsError: a key is unknown, or a value is out of range; every one is named.
    """
    if any(name.lower() == "webhook_secret" for name in args or {}):
        raise SettingsError(
            "setting WEBHOOK_SECRET: give it in the environment or in .env, not in `args:`, "
            "which Ray writes into its log"
        )
    _refuse_near_misses(os.environ)
    try:
        return Settings(**{name.lower(): value for name, value in (args or {}).items()})
    except ValidationError as error:
        problems = [
            _describe(item["loc"], item["type"], item["msg"].removeprefix("Value error, "))
            for item in error.errors()
        ]
        raise SettingsError("; ".join(problems)) from error


def _entries(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


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
