"""The client of a bucket: its patience, its credentials, its errors as the store's.

Owns how long a request may take and how often it is repeated, and the reading of what S3 refuses.
Credentials are the client's own business: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity, a
container's or an instance's role, in this order. None is ever part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from storage.errors import FileMissing, FileStoreError, FileStoreUnavailable
from storage.store_url import BucketAddress

REQUEST_S = 30.0  # one try, body included: an artifact of 300 MB needs 10 MB/s
PATIENCE_S = 15.0  # from the first try on, in which another one may begin
CONNECT_S = 3.0

_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")


def connect(address: BucketAddress, patience_s: float = PATIENCE_S) -> S3Store:
    """A client of the bucket; asks nothing yet.

    `patience_s`: how long after its first try a request may be tried again. One that hangs is ended after
    30 s, or after `patience_s` if that is not the usual one.
    """
    options = {"endpoint": address.endpoint, "region": address.region, "prefix": address.prefix}
    return S3Store(
        address.bucket,
        client_options={
            "allow_http": address.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_S),
            "timeout": timedelta(seconds=REQUEST_S if patience_s == PATIENCE_S else patience_s),
        },
        retry_config={
            "max_retries": 10,
            "retry_timeout": timedelta(seconds=patience_s),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=2),
                "base": 2,
            },
        },
        **{name: value for name, value in options.items() if value},  # type: ignore[arg-type]
    )


def refusal_code(error: BaseException) -> str:
    """S3's word for why it refused, such as `NoSuchBucket`, or the HTTP status; empty: no answer."""
    text = str(error)
    found = _CODE.search(text) or _STATUS.search(text)
    return found[1] if found else ""


@contextmanager
def translated(what: str, missing: type[FileStoreError] = FileMissing) -> Iterator[None]:
    """Turn the client's errors into the store's; its texts, which hold addresses and key ids, end here."""
    try:
        yield
    except AlreadyExistsError:
        raise
    except FileNotFoundError as error:
        if refusal_code(error) == "NoSuchBucket":
            raise FileStoreUnavailable("The bucket does not exist") from None
        raise missing(f"No such file: {what}") from None
    except PreconditionError:
        raise FileMissing(f"Replaced while it was read: {what}") from None
    except BaseError as error:
        code = refusal_code(error)
        said = f"refuses {what} with {code}" if code else "does not answer"
        raise FileStoreUnavailable(f"The object storage {said}") from None
