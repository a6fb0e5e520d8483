"""Whether a file store can be worked with, and if not, the one sentence that says why and what mends it.

Owns the trial of a bucket (write, read, list, delete) before anything is served, and the words for each way
in which it fails. What a folder needs is looked at by who makes it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError

from storage.s3_client import connect, refusal_code
from storage.store_url import BucketAddress

PATIENCE_S = 3.0
SKEW_TOLD_S = 60.0  # S3 itself refuses from 15 minutes on
FOLDER = ".check"

_CREDENTIALS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of this machine"
_MENDS = {
    "NoSuchBucket": ("the bucket does not exist", "make it, or correct STORE_URL"),
    "InvalidAccessKeyId": ("the access key is not known there", _CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret access key is wrong", _CREDENTIALS),
    "ExpiredToken": ("the credentials have expired", _CREDENTIALS),
    "InvalidToken": ("the session token is wrong", "check AWS_SESSION_TOKEN"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set it, for example with chrony or NTP"),
    "PermanentRedirect": ("the bucket is in another region", "put ?region=... into STORE_URL"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", "put ?region=... into STORE_URL"),
    "IllegalLocationConstraintException": (
        "the bucket is in another region",
        "put ?region=... into STORE_URL",
    ),
}


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """Why a bucket cannot be worked with, and what mends it. `works`: it can, but something is wrong."""

    what: str
    mend: str
    works: bool = False


def check_bucket(address: BucketAddress) -> StoreTrouble | None:
    """Write, read, list and delete one small object; none if all of it went well. Takes seconds at most."""
    bucket = connect(address, patience_s=PATIENCE_S)
    name, data = f"{FOLDER}/{uuid4().hex}", uuid4().bytes
    step = "write to"
    written = False
    try:
        obstore.put(bucket, name, data)
        written = True
        step = "read from"
        found = obstore.get(bucket, name)
        skew_s = time.time() - found.meta["last_modified"].timestamp()
        if bytes(found.bytes()) != data:
            return _other(address, "what was written comes back changed")
        step = "list"
        if name not in {item["path"] for page in obstore.list(bucket, FOLDER) for item in page}:
            return _other(address, "what was written is not listed")
        step = "delete from"
        obstore.delete(bucket, [name])
        written = False
        if name in {item["path"] for page in obstore.list(bucket, FOLDER) for item in page}:
            return _other(address, "what was deleted is still listed")
    except (BaseError, FileNotFoundError) as error:
        if written:
            _try_to_remove(address, name)
        return _trouble(address, step, error)
    if abs(skew_s) > SKEW_TOLD_S:
        return StoreTrouble(
            f"{address}: the clocks of this machine and of the store are {abs(skew_s):.0f} s apart",
            "set this machine's clock: files of a crash are removed by age",
            works=True,
        )
    return None


def _trouble(address: BucketAddress, step: str, error: BaseException) -> StoreTrouble:
    code, text = refusal_code(error), str(error)
    if "169.254." in text or "credential" in text.lower():  # it never got as far as the bucket
        return StoreTrouble(f"no credentials for {address}", _CREDENTIALS)
    if "configured region" in text:  # the client's words for a redirect that names no address
        code = "PermanentRedirect"
    if code in _MENDS:
        what, mend = _MENDS[code]
        return StoreTrouble(f"{address}: {what}", mend)
    if code in ("AccessDenied", "403", "401"):
        return StoreTrouble(
            f"{address}: these credentials may not {step} it",
            "grant s3:GetObject, s3:PutObject and s3:DeleteObject on its objects, s3:ListBucket on it",
        )
    if code:
        mend = "correct the endpoint in STORE_URL, if that is no object storage"
        return StoreTrouble(f"{address}: it answers {code} when asked to {step} it", mend)
    where = address.endpoint or f"S3{f' in {address.region}' if address.region else ''}"
    return StoreTrouble(
        f"{address}: nothing answers at {where}", "correct the endpoint in STORE_URL, or look at the network"
    )


def _other(address: BucketAddress, what: str) -> StoreTrouble:
    return StoreTrouble(f"{address}: {what}", "use object storage that is consistent, as S3 is")


def _try_to_remove(address: BucketAddress, name: str) -> None:
    try:
        obstore.delete(connect(address, patience_s=PATIENCE_S), [name])
    except (BaseError, FileNotFoundError):
        return  # who may not delete has been told so
