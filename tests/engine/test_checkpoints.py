from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.cache_folder import default_cache_folder
from engine.checkpoints import (
    RELEASES,
    Checkpoint,
    NetworkName,
    Origin,
    Release,
    find_checkpoint,
    main,
)
from engine.download import Patience
from engine.errors import CheckpointError
from tests.engine.file_server import FileServer, serving

Tensors = dict[str, torch.Tensor]

MOBILE_SAM_TENSORS: Tensors = {
    "image_encoder.patch_embed.seq.0.c.weight": torch.arange(8.0).reshape(2, 1, 2, 2),
    "image_encoder.patch_embed.seq.0.bn.num_batches_tracked": torch.tensor(3),
    "mask_decoder.iou_token.weight": torch.ones(1, 4),
}
LAMA_TENSORS: Tensors = {"model.generator.model.1.ffc.convl2l.weight": torch.full((2, 4, 1, 1), 0.25)}
TENSORS = {NetworkName.MOBILE_SAM: MOBILE_SAM_TENSORS, NetworkName.LAMA: LAMA_TENSORS}
QUICK = Patience(answer_s=2.0, silence_s=2.0, pause_s=0.01)


def save_state_dict(tensors: Tensors, path: Path) -> None:
    torch.save(tensors, path)


def save_old_state_dict(tensors: Tensors, path: Path) -> None:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def save_safetensors(tensors: Tensors, path: Path) -> None:
    save_file(tensors, path, {"image_size": "512"})


def save_torchscript(tensors: Tensors, path: Path) -> None:
    class Node(torch.nn.Module):
        pass

    root = Node()
    for name, tensor in tensors.items():
        *folders, leaf = name.split(".")
        node: torch.nn.Module = root
        for folder in folders:
            if not hasattr(node, folder):
                node.add_module(folder, Node())
            node = node.get_submodule(folder)
        node.register_buffer(leaf, tensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(root), path)


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    folder = tmp_path / "bundled"
    folder.mkdir()
    for network, tensors in TENSORS.items():
        save_safetensors(tensors, folder / f"{network}.safetensors")
    return folder


def load(network: NetworkName, tmp_path: Path, **options: object) -> Checkpoint:
    defaults = {
        "configured": None,
        "cache_dir": tmp_path / "cache",
        "allow_download": False,
        "patience": QUICK,
        "bundled_folder": tmp_path / "bundled",
    }
    return find_checkpoint(network, **(defaults | options)).read()  # type: ignore[arg-type]


def released(path: Path, server: FileServer) -> Release:
    return Release("published.pt", server.url, hashlib.md5(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("network", list(NetworkName))
@pytest.mark.parametrize("save", [save_state_dict, save_old_state_dict, save_torchscript, save_safetensors])
def test_a_configured_file_is_read_by_its_content(
    network: NetworkName, save: Callable[[Tensors, Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    save(TENSORS[network], path)
    checkpoint = load(network, tmp_path, configured=path, allow_download=True)
    assert (checkpoint.network, checkpoint.origin, checkpoint.path) == (network, Origin.CONFIGURED, path)
    assert checkpoint.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint.tensors.keys() == TENSORS[network].keys()
    for name, tensor in TENSORS[network].items():
        assert torch.equal(checkpoint.tensors[name], tensor)
    assert checkpoint.metadata == ({"image_size": "512"} if save is save_safetensors else {})


def test_half_precision_is_widened_and_counters_are_left(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_safetensors(
        {n: t.half() if t.is_floating_point() else t for n, t in MOBILE_SAM_TENSORS.items()}, path
    )
    checkpoint = load(NetworkName.MOBILE_SAM, tmp_path, configured=path)
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {torch.float32, torch.int64}


def test_the_summary_says_what_is_loaded(tmp_path: Path, bundled: Path) -> None:
    checkpoint = load(NetworkName.LAMA, tmp_path)
    assert checkpoint.summary == f"lama: bundled lama.safetensors (sha256 {checkpoint.digest[:12]})"


def spoil_nothing_there(path: Path) -> None:
    path.unlink()


def spoil_cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def spoil_old_format_cut_short(path: Path) -> None:
    torch.save(MOBILE_SAM_TENSORS, path, _use_new_zipfile_serialization=False)
    os.truncate(path, path.stat().st_size // 4)  # within the pickle: IndexError


def spoil_old_format(path: Path) -> None:
    torch.save(MOBILE_SAM_TENSORS, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"q\x00", b"h\x63", 1))  # reads what was never put down: KeyError


def spoil_packed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mine/data.pkl", b"weights " * 999)
    content = bytearray(path.read_bytes())
    content[43] ^= 0xFF  # the first byte of what is packed: zlib.error
    path.write_bytes(content)


def spoil_one_bit(path: Path) -> None:
    content = path.read_bytes()
    value = torch.ones(1, 4).numpy().tobytes()
    position = content.index(value)
    path.write_bytes(content[:position] + b"\x01" + content[position + 1 :])


def spoil_web_page(path: Path) -> None:
    path.write_text("\n<!DOCTYPE html><html></html>")


def spoil_empty(path: Path) -> None:
    path.write_bytes(b"")


def spoil_code(path: Path) -> None:
    class Surprise:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, ("exit 7",)

    torch.save({"image_encoder": Surprise()}, path)


def spoil_other_network(path: Path) -> None:
    torch.save(LAMA_TENSORS, path)


def spoil_unknown_network(path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, path)


def spoil_not_finite(path: Path) -> None:
    torch.save(MOBILE_SAM_TENSORS | {"mask_decoder.iou_token.weight": torch.tensor([torch.nan])}, path)


def spoil_whole_model(path: Path) -> None:
    torch.save({"model": MOBILE_SAM_TENSORS, "epoch": 3}, path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_nothing_there, "does not exist; correct the path"),
        (spoil_cut_short, "is damaged"),
        (spoil_old_format_cut_short, "is damaged"),
        (spoil_old_format, "is damaged"),
        (spoil_packed, "is damaged"),
        (spoil_one_bit, "is damaged .*checksum"),
        (spoil_web_page, "web page"),
        (spoil_empty, "is not a checkpoint"),
        (spoil_code, "is damaged"),
        (spoil_other_network, "it holds lama; the two paths may be swapped"),
        (spoil_unknown_network, "is not a mobile_sam checkpoint"),
        (spoil_not_finite, "iou_token.weight is not finite"),
        (spoil_whole_model, "no plain state dict"),
    ],
)
def test_a_configured_file_that_cannot_be_used_fails_by_name(
    spoil: Callable[[Path], None], words: str, tmp_path: Path, bundled: Path
) -> None:
    path = tmp_path / "mine.pt"
    torch.save(MOBILE_SAM_TENSORS, path)
    spoil(path)
    with pytest.raises(CheckpointError, match=words) as caught:
        load(NetworkName.MOBILE_SAM, tmp_path, configured=path)
    assert str(path) in str(caught.value)
    assert "configured mobile_sam checkpoint" in str(caught.value)


def test_the_released_file_is_fetched_once_and_then_used_without_network(
    tmp_path: Path, bundled: Path
) -> None:
    original = tmp_path / "original.pt"
    save_torchscript(LAMA_TENSORS, original)
    with serving(FileServer(original.read_bytes())) as server:
        release = released(original, server)
        first = load(NetworkName.LAMA, tmp_path, allow_download=True, release=release)
        second = load(NetworkName.LAMA, tmp_path, allow_download=True, release=release)
    offline = load(NetworkName.LAMA, tmp_path, release=release)
    assert len(server.asked) == 1
    assert {first.origin, second.origin, offline.origin} == {Origin.RELEASED}
    assert first.path == tmp_path / "cache" / "published.pt"
    assert first.digest == offline.digest == hashlib.sha256(original.read_bytes()).hexdigest()


def test_an_unreachable_release_falls_to_the_bundled_file_and_says_so(
    tmp_path: Path, bundled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    release = Release("published.pt", "http://127.0.0.1:9/published.pt", "0" * 32)
    checkpoint = load(NetworkName.LAMA, tmp_path, allow_download=True, release=release)
    assert checkpoint.origin is Origin.BUNDLED
    assert checkpoint.path == bundled / "lama.safetensors"
    warnings_ = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings_ == [
        "released lama checkpoint not available: http://127.0.0.1:9/published.pt: Connection refused; "
        "using the smaller bundled one"
    ]


def test_a_wrong_release_falls_to_the_bundled_file(tmp_path: Path, bundled: Path) -> None:
    with serving(FileServer(b"something else")) as server:
        release = Release("published.pt", server.url, "0" * 32)
        checkpoint = load(NetworkName.LAMA, tmp_path, allow_download=True, release=release)
    assert checkpoint.origin is Origin.BUNDLED


def test_a_forbidden_download_asks_nobody(tmp_path: Path, bundled: Path) -> None:
    with serving(FileServer(b"")) as server:
        checkpoint = load(NetworkName.LAMA, tmp_path, release=Release("published.pt", server.url, "0" * 32))
    assert checkpoint.origin is Origin.BUNDLED
    assert server.asked == []


def test_a_damaged_cached_release_is_not_used_when_it_cannot_be_fetched_again(
    tmp_path: Path, bundled: Path
) -> None:
    (tmp_path / "cache").mkdir()
    save_state_dict(LAMA_TENSORS, tmp_path / "cache" / "published.pt")
    checkpoint = load(
        NetworkName.LAMA, tmp_path, release=Release("published.pt", "http://127.0.0.1:9/x", "0" * 32)
    )
    assert checkpoint.origin is Origin.BUNDLED


def test_a_lacking_bundled_file_fails(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="installation lacks its bundled lama checkpoint"):
        load(NetworkName.LAMA, tmp_path)


def test_the_releases_are_the_published_ones() -> None:
    assert {release.md5 for release in RELEASES.values()} == {
        "f3c0d8cda613564d499310dab6c812cd",
        "e3aa4aaa15225a33ec84f9f4bc47e500",
    }
    assert {release.file_name for release in RELEASES.values()} == {"mobile_sam.pt", "big-lama.pt"}


def test_the_cache_folder_follows_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "tapcut"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / ".cache" / "tapcut"


def test_without_a_home_the_cache_folder_is_in_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.chdir(tmp_path)
    assert default_cache_folder() == tmp_path / ".cache" / "tapcut"


def test_the_command_prints_what_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {network: tmp_path / network for network in NetworkName}
    for network, path in paths.items():
        save_state_dict(TENSORS[network], path)
    arguments = ["--mobile-sam", str(paths[NetworkName.MOBILE_SAM]), "--lama", str(paths[NetworkName.LAMA])]
    assert main(arguments) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines] == [[n.value, "configured", str(paths[n])] for n in NetworkName]


def test_the_command_fails_for_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    arguments = [
        sys.executable,
        "-m",
        "engine.checkpoints",
        "--lama",
        str(tmp_path / "no.pt"),
        "--no-download",
    ]
    save_state_dict(MOBILE_SAM_TENSORS, tmp_path / "sam.pt")
    answer = subprocess.run(
        [*arguments, "--mobile-sam", str(tmp_path / "sam.pt")], capture_output=True, text=True
    )
    assert answer.returncode == 1
    assert answer.stderr == (
        f"the configured lama checkpoint: {tmp_path / 'no.pt'} does not exist; correct the path or unset it\n"
    )
