"""Which weights each network gets, where they come from, and that they are what they should be.

Owns the order (a configured file, else the released one, else the bundled one), the released
files' addresses and digests, and the check that a file holds the right network. Fetching is
`download.py`, formats are `checkpoint_formats.py`, shapes are the networks' own business. A file is found
without torch, and read with it.

`python -m engine.checkpoints` fetches ahead of time and prints what will be used.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cache_folder import default_cache_folder
from engine.checkpoint_errors import readable
from engine.download import DownloadError, Patience, download_once, has_md5
from engine.errors import CheckpointError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

BUNDLED_FOLDER = Path(__file__).with_name("bundled")


class NetworkName(StrEnum):
    """The networks that have a checkpoint of their own."""

    MOBILE_SAM = "mobile_sam"
    LAMA = "lama"


class Origin(StrEnum):
    """Where a checkpoint comes from."""

    CONFIGURED = "configured"
    RELEASED = "released"
    BUNDLED = "bundled"


@dataclass(frozen=True, slots=True)
class Release:
    """The file that a network's authors published."""

    file_name: str
    url: str
    md5: str


RELEASES: Mapping[NetworkName, Release] = {
    NetworkName.MOBILE_SAM: Release(
        "mobile_sam.pt",
        "https://github.com/ChaoningZhang/MobileSAM/releases/download/v1.0/mobile_sam.pt",
        "f3c0d8cda613564d499310dab6c812cd",
    ),
    NetworkName.LAMA: Release(
        "big-lama.pt",
        "https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt",
        "e3aa4aaa15225a33ec84f9f4bc47e500",
    ),
}

# Tensors that every width of the network has and no other network does.
_HALLMARKS: Mapping[NetworkName, tuple[str, ...]] = {
    NetworkName.MOBILE_SAM: ("image_encoder.patch_embed.seq.0.c.weight", "mask_decoder.iou_token.weight"),
    NetworkName.LAMA: ("model.generator.model.1.ffc.convl2l.weight",),
}


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointFile:
    """The file that holds one network's weights, and where it comes from."""

    network: NetworkName
    origin: Origin
    path: Path
    digest: str  # SHA-256 of the file, hex

    @property
    def summary(self) -> str:
        """One line for people, e.g. `lama: bundled lama.safetensors (sha256 0123456789ab)`."""
        return f"{self.network}: {self.origin} {self.path.name} (sha256 {self.digest[:12]})"

    def read(self) -> Checkpoint:
        """The weights.

        Raises:
            CheckpointError: it is damaged or of another architecture; the message says what to do.
        """
        from engine.checkpoint_formats import read_tensors  # loads torch

        with _blamed(self.network, self.origin):
            tensors, metadata = read_tensors(self.path)
            if not all(name in tensors for name in _HALLMARKS[self.network]):
                raise CheckpointError(f"{self.path} is not a {self.network} checkpoint: {_holds(tensors)}")
        return Checkpoint(self.network, self.origin, self.path, self.digest, tensors, metadata)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint(CheckpointFile):
    """The weights of one network and where they come from."""

    tensors: Mapping[str, torch.Tensor]  # by the released checkpoint's names; floating point ones fp32
    metadata: Mapping[str, str]


def find_checkpoint(
    network: NetworkName,
    *,
    configured: Path | None,
    cache_dir: Path,
    allow_download: bool,
    progress: bool = False,
    release: Release | None = None,
    retry: bool = False,
    patience: Patience | None = None,
    bundled_folder: Path = BUNDLED_FOLDER,
) -> CheckpointFile:
    """The file for `network`: `configured` if given, else the released one, else the bundled one.

    The released file is looked for in `cache_dir` and, with `allow_download`, fetched into it once
    (`release` replaces the published address; `retry` ignores a failure of the last minutes;
    `progress` draws a bar). If it cannot be had, one log line says why and the bundled file is
    used. A configured file is used or refused, never replaced.

    Raises:
        CheckpointError: the file in question is missing or cannot be read; the message names it.
    """
    if configured is not None:
        return _open(network, Origin.CONFIGURED, configured)
    release = release or RELEASES[network]
    target = cache_dir / release.file_name
    try:
        if allow_download:
            download_once(release.url, target, release.md5, patience=patience, retry=retry, progress=progress)
        elif not has_md5(target, release.md5):
            state = "is damaged" if target.exists() else "is not there"
            raise DownloadError(f"{target} {state}, and downloads are switched off")
        return _open(network, Origin.RELEASED, target)
    except DownloadError as error:
        log.warning("released %s checkpoint not available: %s; using the smaller bundled one", network, error)
    return _open(network, Origin.BUNDLED, bundled_folder / f"{network}.safetensors")


def _open(network: NetworkName, origin: Origin, path: Path) -> CheckpointFile:
    with _blamed(network, origin), readable(path), path.open("rb") as file:
        return CheckpointFile(network, origin, path, hashlib.file_digest(file, "sha256").hexdigest())


@contextmanager
def _blamed(network: NetworkName, origin: Origin) -> Iterator[None]:
    """Say whose file it is that a complaint is about; a released one names itself."""
    try:
        yield
    except CheckpointError as error:
        if origin is Origin.CONFIGURED:
            raise CheckpointError(f"the configured {network} checkpoint: {error}") from error
        if origin is Origin.BUNDLED:
            raise CheckpointError(
                f"this installation lacks its bundled {network} checkpoint: {error}"
            ) from error
        raise


def _holds(tensors: Mapping[str, torch.Tensor]) -> str:
    held = next((str(other) for other in NetworkName if all(n in tensors for n in _HALLMARKS[other])), None)
    return f"it holds {held}; the two paths may be swapped" if held else "its tensors have other names"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch what is missing and print one line a network: name, origin, file, digest.

    Returns 0, or 1 with the reason on standard error if a checkpoint cannot be used.
    """
    parser = argparse.ArgumentParser(prog="python -m engine.checkpoints", description=main.__doc__)
    parser.add_argument(
        "--cache-dir", type=Path, default=default_cache_folder(), help="where released files are kept"
    )
    parser.add_argument("--no-download", action="store_true", help="use only what is on this machine")
    parser.add_argument(
        "--retry", action="store_true", help="try again even if a download failed minutes ago"
    )
    for network in NetworkName:
        option = network.replace("_", "-")
        parser.add_argument(
            f"--{option}", type=Path, metavar="FILE", help=f"{network} checkpoint of your own"
        )
        parser.add_argument(
            f"--{option}-url", default=RELEASES[network].url, help="mirror of the released file"
        )
    options = vars(parser.parse_args(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for network in NetworkName:
        release = RELEASES[network]
        try:
            checkpoint = find_checkpoint(
                network,
                configured=options[network],
                cache_dir=options["cache_dir"],
                allow_download=not options["no_download"],
                progress=True,
                release=Release(release.file_name, options[f"{network}_url"], release.md5),
                retry=options["retry"],
            ).read()
        except CheckpointError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{network}\t{checkpoint.origin}\t{checkpoint.path}\tsha256 {checkpoint.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
