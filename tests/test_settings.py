from __future__ import annotations

from pathlib import Path

import pytest

from settings import SettingsError, read_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_arguments_win_over_environment_over_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=1111\nMAX_OBJECTS=3\nMAX_UPLOAD_MB=7\n")
    monkeypatch.setenv("PORT", "2222")
    monkeypatch.setenv("MAX_OBJECTS", "4")
    settings = read_settings({"PORT": 3333})
    assert (settings.port, settings.max_objects, settings.max_upload_mb) == (3333, 4, 7)


@pytest.mark.parametrize(
    ("source", "suggestion"),
    [("args", "MAX_IMAGE_SIZE"), ("dotenv", "MAX_IMAGE_SIZE"), ("env", "MAX_IMAGE_SIZE")],
)
def test_misspelt_key_is_refused_by_name(
    source: str, suggestion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = {"MAX_IMAGE_SZIE": 512} if source == "args" else {}
    if source == "dotenv":
        (tmp_path / ".env").write_text("MAX_IMAGE_SZIE=512\n")
    if source == "env":
        monkeypatch.setenv("MAX_IMAGE_SZIE", "512")
    with pytest.raises(SettingsError, match=f"MAX_IMAGE_SZIE.*{suggestion}"):
        read_settings(args)


def test_a_home_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(
        SettingsError, match=r"WORK_DIR: ~nobody-of-that-name/jobs: nobody knows .*write the whole path"
    ):
        read_settings({"WORK_DIR": "~nobody-of-that-name/jobs"})


def test_value_out_of_range_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="PORT"):
        read_settings({"PORT": 70_000})


@pytest.mark.parametrize(
    "origins", ["https://a.example/", "a.example", "https://a.example/page", "*,https://a.example", "null"]
)
def test_origins_that_no_browser_sends_are_refused(origins: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        read_settings({"CORS_ORIGINS": origins})


def test_the_briefs_dotenv_is_accepted(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "PORT=8000\nHOST=0.0.0.0\nWORKERS=1\nLOG_LEVEL=info\nMAX_IMAGE_SIZE=1024\nDEVICE=cuda\n"
        "MOBILE_SAM_CHECKPOINT=./mobile_sam.pt\nWORK_DIR=./jobs\n"
    )
    settings = read_settings()
    assert settings.mobile_sam_checkpoint == tmp_path / "mobile_sam.pt"
    assert settings.as_args()["WORK_DIR"] == str(tmp_path / "jobs")


@pytest.mark.parametrize("source", ["dotenv", "env"])
@pytest.mark.parametrize("sizes", ["512,256", "256, 512", "[256, 512]"])
def test_lists_of_numbers_are_written_as_the_readme_writes_them(
    source: str, sizes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "dotenv":
        (tmp_path / ".env").write_text(f'INPAINT_SIZES="{sizes}"\nWEBHOOK_PORTS=443\n')
    else:
        monkeypatch.setenv("INPAINT_SIZES", sizes)
        monkeypatch.setenv("WEBHOOK_PORTS", "443")
    settings = read_settings()
    assert (settings.inpaint_sizes, settings.webhook_ports) == ((256, 512), (443,))


def test_a_list_that_holds_no_number_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPAINT_SIZES", "256,large")
    with pytest.raises(SettingsError, match="setting INPAINT_SIZES"):
        read_settings()
