"""One file fetched from the web, once on a machine, whatever happens on the way.

Owns locking between processes, resuming, verification and the memory of a recent failure. Knows
nothing of networks or checkpoints: the caller says which address, which MD5 and where to keep it.

Beside the target `name` lie `name.part` (bytes so far), `name.lock` and `name.failed` (why the
last try failed; its modification time says when).
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from engine.errors import CheckpointError
from engine.file_lock import only_process

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 18
_LOG_EVERY_S = 10.0
# More than twice the largest file asked for: a server that never stops must not fill the disk.
_LARGEST_BYTES = 512 << 20


class DownloadError(CheckpointError):
    """The file could not be fetched; the message says why, in one line."""


class _CutOffError(Exception):
    """The connection ended before the file did; what came so far is kept and worth resuming."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server.

    `answer_s` bounds everything up to the first byte (names, connecting, redirects), so that a
    machine without internet starts at once; `silence_s` bounds each wait for further bytes.
    After `fruitless_tries` in a row that brought no byte the download has failed.
    """

    answer_s: float = 5.0
    silence_s: float = 20.0
    fruitless_tries: int = 3
    pause_s: float = 1.0
    remember_failure_s: float = 600.0


def download_once(
    url: str,
    target: Path,
    md5: str,
    *,
    patience: Patience | None = None,
    retry: bool = False,
    progress: bool = True,
) -> Path:
    """`target` with the content of MD5 `md5`, fetched from `url` unless it is there already.

    Any number of processes may ask at the same time: one fetches, the others wait for it. A
    failure is remembered with its address for `patience.remember_failure_s`, so that those waiting,
    and the next start, fail at once; `retry` forgets it first. `progress` draws a bar when standard
    error is a terminal; log lines come either way.

    Raises:
        DownloadError: no network, no such file, a broken or wrong file, or no room for it.
    """
    patience = patience or Patience()
    if has_md5(target, md5):
        return target
    part, failure = (target.with_name(target.name + ending) for ending in (".part", ".failed"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_process(target.with_name(target.name + ".lock"), f"fetching {target.name}"):
            if has_md5(target, md5):
                return target
            if target.exists():
                log.warning("%s is damaged (MD5 is not %s); fetching it again", target, md5)
                target.unlink()
            if not retry:
                _refuse_after_failure(failure, url, patience.remember_failure_s)
            try:
                _fetch(url, part, target, md5, patience, progress)
            except (DownloadError, OSError) as error:
                with suppress(OSError):
                    if _size(part) == 0:
                        part.unlink(missing_ok=True)
                    failure.write_text(f"{url}\n{error}", encoding="utf-8")
                raise
            failure.unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot keep {target}: {error.strerror or error}") from error
    return target


def _refuse_after_failure(failure: Path, url: str, remember_failure_s: float) -> None:
    """Raises what went wrong a moment ago at this address; another address is another chance."""
    with suppress(FileNotFoundError):
        age_s = time.time() - failure.stat().st_mtime
        asked, _, reason = failure.read_text(encoding="utf-8", errors="replace").partition("\n")
        if asked == url and 0 <= age_s < remember_failure_s:
            raise DownloadError(f"{reason} ({age_s:.0f} s ago; tried again after {remember_failure_s:.0f} s)")


def has_md5(path: Path, md5: str) -> bool:
    """Whether `path` can be read and its content has that MD5 (hex)."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == md5
    except OSError:
        return False


def _fetch(url: str, part: Path, target: Path, md5: str, patience: Patience, progress: bool) -> None:
    resumed = _size(part) > 0
    log.info("fetching %s%s", url, f", resuming after {_size(part):,} bytes" if resumed else "")
    _fill(part, url, patience, progress)
    if resumed and not has_md5(part, md5):
        # The file on the server may have changed since the first piece was fetched.
        log.warning("the resumed %s is not the expected file; fetching all of it again", target.name)
        part.unlink()
        _fill(part, url, patience, progress)
    if not has_md5(part, md5):
        size = _size(part)
        part.unlink()
        raise DownloadError(f"{url} sent another file than expected ({size:,} bytes, MD5 is not {md5})")
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)
    _sync_folder(target.parent)
    log.info("fetched %s (%s bytes, MD5 verified)", target, f"{_size(target):,}")


def _fill(part: Path, url: str, patience: Patience, progress: bool) -> None:
    """Append to `part` until the server says that it is whole, resuming whenever it is cut off.

    A server that brought nothing at all yet is not asked again: without internet a start must not wait.
    """
    at_start, fruitless = _size(part), 0
    while True:
        before = _size(part)
        try:
            with part.open("ab") as file:
                _append(file, url, patience, progress)
            return
        except _CutOffError as cut:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if _size(part) == at_start or fruitless >= patience.fruitless_tries:
                raise DownloadError(f"{url}: {cut}") from cut
            log.info("%s was cut off after %s bytes (%s); resuming", part.stem, f"{_size(part):,}", cut)
            time.sleep(patience.pause_s * fruitless)


def _append(file: BinaryIO, url: str, patience: Patience, progress: bool) -> None:
    """One request for the bytes after the end of `file`."""
    offset = file.seek(0, os.SEEK_END)
    answer = _open(url, offset, patience)
    if answer is None:
        # Nothing after the end: the piece is the whole file, or not of this file at all. MD5 will tell.
        return
    with answer as response:
        if response.status != http.client.PARTIAL_CONTENT or not _continues_at(response, offset):
            file.truncate(0)
            offset = 0
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length and length.isdigit() else None
        _copy(response, file, offset, total, progress)


def _copy(
    response: http.client.HTTPResponse, file: BinaryIO, offset: int, total: int | None, progress: bool
) -> None:
    name = Path(str(file.name)).stem
    done, last_line_s = offset, time.monotonic()
    # `disable=None` draws only on a terminal: a replica's log gets lines, not control characters.
    bar = tqdm(
        total=total, initial=offset, unit="B", unit_scale=True, desc=name, disable=None if progress else True
    )
    with bar:
        while True:
            try:
                chunk = response.read1(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _CutOffError(_plain(error)) from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            bar.update(len(chunk))
            if done > _LARGEST_BYTES:
                file.truncate(0)
                raise DownloadError(f"{response.url} sends more than {_LARGEST_BYTES:,} bytes")
            if time.monotonic() - last_line_s > _LOG_EVERY_S:
                last_line_s = time.monotonic()
                log.info("%s: %s of %s bytes", name, f"{done:,}", f"{total:,}" if total else "unknown")
    if total is not None and done < total:
        raise _CutOffError("the connection was closed early")


def _open(url: str, offset: int, patience: Patience) -> http.client.HTTPResponse | None:
    """Answer of the server, within `answer_s` whatever happens; None if the file ends before `offset`.

    Neither the resolver nor a host with many dead addresses obeys a socket's timeout, hence the thread.
    """
    try:
        known = urllib.parse.urlsplit(url).scheme in ("http", "https")
        request = urllib.request.Request(url, headers={"User-Agent": "tapcut", "Accept-Encoding": "identity"})
    except ValueError:  # half an IPv6 address, say, or no scheme at all
        known = False
    if not known:
        raise DownloadError(f"{url} is not an http:// or https:// address")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    answers: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=patience.silence_s))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="download", daemon=True).start()
    try:
        answer = answers.get(timeout=patience.answer_s)
    except queue.Empty:
        raise _CutOffError(f"no answer within {patience.answer_s:g} s") from None
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        if answer.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            return None
        raise DownloadError(f"{url}: the server answers {answer.code} {answer.reason}") from answer
    if isinstance(answer, Exception):
        raise _CutOffError(_plain(answer)) from answer
    return answer


def _continues_at(response: http.client.HTTPResponse, offset: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _plain(error: Exception) -> str:
    """The cause without Python's wrapping, e.g. `Connection refused`."""
    reason = getattr(error, "reason", None) or error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
