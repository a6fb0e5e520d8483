"""A replica's part in the node's GPUs.

Owns what its process sees and takes of what Ray has assigned to it: Ray keeps books of shares and holds
nobody to them. Imports no torch but where a GPU is to be used.
"""

from __future__ import annotations

import os

import ray

from engine.types import Device
from settings import Settings


def cluster_has_gpus() -> bool:
    """Whether Ray knows of a GPU now; one that an autoscaler may yet bring does not count."""
    return bool(ray.is_initialized() and ray.cluster_resources().get("GPU", 0) > 0)


def keep_to_share(settings: Settings) -> None:
    """Hide the GPUs from a replica that was given none, and hold the memory of one that was to its share.

    To be called first in a replica's life: CUDA looks once. Outside a cluster it does nothing.

    Raises:
        ExecutionError: the share is too small for anything.
    """
    if not ray.is_initialized():
        return  # asked for its context, Ray would start a cluster of its own
    share = float(ray.get_runtime_context().get_assigned_resources().get("GPU", 0))
    if share == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif settings.device is not Device.CPU:
        import torch

        from engine.gpu_memory import hold_memory_to

        if torch.cuda.is_available():  # else whoever loads the network says so
            hold_memory_to(min(share, 1.0))
