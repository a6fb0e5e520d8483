"""What a stage with a network asks of Ray.

Owns the rule from DEVICE and the settings of the shares to `ray_actor_options`: pure, so that who deploys and
who checks beforehand whether all fits read the same. Knows nothing of Ray's processes.
"""

from __future__ import annotations

from engine.types import Device
from settings import Settings

SHARE_SETTINGS = {
    "ImageEncoder": "encoder_gpu",
    "PromptDecoder": "decoder_gpu",
    "LamaInpainter": "inpainter_gpu",
}


def network_resources(settings: Settings, stage: str, cluster_has_gpus: bool) -> dict[str, float]:
    """`num_cpus` and `num_gpus` of one replica of `stage`, which is one of `SHARE_SETTINGS`."""
    on_gpu = settings.device is Device.CUDA or (settings.device is Device.AUTO and cluster_has_gpus)
    share: float = getattr(settings, SHARE_SETTINGS[stage])
    return {"num_cpus": settings.network_cpus, "num_gpus": share if on_gpu else 0}
