"""Where artifacts are kept, as one URL.

Owns the forms of STORE_URL: `file:///folder` and `s3://bucket/prefix?endpoint=...&region=...`. Credentials
come from the environment or the machine, never from the URL, which is logged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"[0-9A-Za-z!_.()'-]+(/[0-9A-Za-z!_.()'-]+)*", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_OPTIONS = ("endpoint", "region")


@dataclass(frozen=True, slots=True)
class FolderAddress:
    """A folder that all nodes mount."""

    path: Path


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A bucket of S3-compatible object storage; what is empty is left to the environment or to AWS."""

    bucket: str
    prefix: str = ""  # without slashes around it
    endpoint: str = ""  # http(s)://host:port
    region: str = ""

    def __str__(self) -> str:
        """For people: where it is."""
        path = f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket
        return f"s3://{path}" + (f" at {self.endpoint}" if self.endpoint else "")


def parse_store_url(url: str) -> FolderAddress | BucketAddress:
    """Read a STORE_URL.

    Raises:
        ValueError: it has neither of the two forms; the message says how to mend it and repeats no secret.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "must hold no credentials: give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
        )
    if parts.fragment:
        raise ValueError("has a # in it: write it as %23")
    if parts.scheme == "file":
        return _folder(parts.netloc, unquote(parts.path), parts.query)
    if parts.scheme == "s3":
        return _bucket(parts.netloc, unquote(parts.path), parts.query)
    raise ValueError("is neither file:///folder nor s3://bucket/prefix?endpoint=...&region=...")


def _folder(host: str, path: str, query: str) -> FolderAddress:
    if host or query or not path.startswith("/") or path == "/":
        raise ValueError("needs an absolute folder and nothing else: file:///folder, with three slashes")
    return FolderAddress(Path(path))


def _bucket(bucket: str, path: str, query: str) -> BucketAddress:
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("needs the name of a bucket: s3://bucket or s3://bucket/prefix")
    prefix = path.strip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ValueError("has a prefix with more in it than letters, digits and ! _ . ( ) ' - /")
    options = parse_qs(query, keep_blank_values=True)
    for name, values in options.items():
        if name not in _OPTIONS:
            raise ValueError(f"has an unknown option {name[:40]}: it takes endpoint and region")
        if len(values) > 1:
            raise ValueError(f"has the option {name} twice")
    endpoint, region = (options.get(name, [""])[0] for name in _OPTIONS)
    if endpoint:
        at = urlsplit(endpoint)
        bare = not (at.username or at.password or at.query or at.fragment or at.path.strip("/"))
        if at.scheme not in ("http", "https") or not at.hostname or not bare:
            raise ValueError("has an endpoint that is not http://host:port or https://host:port")
    if region and not _REGION.fullmatch(region):
        raise ValueError("has a region that is none, such as eu-central-1")
    return BucketAddress(bucket, prefix, endpoint.rstrip("/"), region)
