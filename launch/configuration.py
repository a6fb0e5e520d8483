"""What is to be served: the serve config and the settings, made safe for one machine.

Owns the reading of both and what must not be passed on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from launch.errors import LaunchError
from settings import LOOPBACK_NAMES, Settings, read_settings

ROOT = Path(__file__).resolve().parents[1]


def read_config(path: Path) -> dict[str, Any]:
    """The serve config as a tree.

    Raises:
        LaunchError: it cannot be read.
    """
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LaunchError(f"the serve config {path} cannot be read: {error}") from error
    if not isinstance(config, dict) or not config.get("applications"):
        raise LaunchError(f"the serve config {path} holds no `applications:`")
    return config


def settings_of(config_path: Path) -> Settings:
    """Settings of the config's `args`, the environment and `.env`.

    Raises:
        LaunchError: the config cannot be read.
        SettingsError: a setting is unknown or out of range.
    """
    return read_settings(read_config(config_path)["applications"][0].get("args"))


def hold_to_loopback(settings: Settings) -> Settings:
    """Without keys, a page whose name was made to mean 127.0.0.1 must not get in."""
    if settings.api_keys or settings.allowed_hosts or settings.host not in LOOPBACK_NAMES.split(","):
        return settings
    return settings.model_copy(update={"allowed_hosts": LOOPBACK_NAMES})


def forget_plain_keys() -> None:
    """Take API_KEYS out of this process's environment, which its children inherit."""
    # What is started from here on gets the hashes with the settings; its environment must not show the keys.
    for name in [name for name in os.environ if name.upper() == "API_KEYS"]:
        del os.environ[name]
