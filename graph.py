"""The whole DAG on one screen.

    photo -> Ingress -> PhotoIntake            original.png
                |
                +-> ImageEncoder -> PromptDecoder -> MaskRefiner          (upload, preview)
                |
                +-> Redis queue -> JobRunner
                       ImageEncoder -> PromptDecoder -> MaskRefiner -+-> ResultComposer (cut-outs)
                                                                     +-> LamaInpainter -> ResultComposer
                       webhooks -> WebhookSender -> the clients' servers

PromptDecoder has the embeddings of the last pictures at hand and asks ImageEncoder for others.
MaskRefiner asks ImageEncoder and PromptDecoder once more, about the part of the picture around each object,
where the checkpoint says that its network sees more from nearer (`engine/closer_look.py`; the bundled does).

Owns which deployment is bound to which. Replicas, resources, batching and timeouts of each are in
`serve_config.yaml` (GPU cluster) and `serve_config.local.yaml` (one machine); but what the three with
networks ask of Ray follows from DEVICE and the settings of their shares, so that one file serves both.
"""

from __future__ import annotations

from typing import Any

from ray.serve import Application

from deployments.gpu_share import cluster_has_gpus
from deployments.image_encoder import ImageEncoder
from deployments.ingress import Ingress
from deployments.job_runner import JobRunner
from deployments.job_walk import Stages
from deployments.lama_inpainter import LamaInpainter
from deployments.mask_refiner import MaskRefiner
from deployments.network_resources import network_resources
from deployments.photo_intake import PhotoIntake
from deployments.prompt_decoder import PromptDecoder
from deployments.result_composer import ResultComposer
from deployments.webhook_sender import WebhookSender
from settings import SettingsError, read_settings


def build_app(args: dict[str, Any]) -> Application:
    """Compose the application; `args` are settings by name and win over the environment and `.env`.

    Raises:
        SettingsError: a setting is unknown, out of range, or REDIS_URL is missing.
    """
    settings = read_settings(args)
    if not settings.redis_url:
        raise SettingsError("setting REDIS_URL: needed, for example redis://127.0.0.1:6379/0")

    intake = PhotoIntake.bind(settings)
    gpus = cluster_has_gpus()

    def with_share(stage: Any, *asks: Any) -> Any:  # Any: Serve's decorator makes a class a deployment untold
        share = network_resources(settings, stage.name, gpus)
        return stage.options(ray_actor_options=share).bind(settings, *asks)

    encoder, inpainter = with_share(ImageEncoder), with_share(LamaInpainter)
    decoder = with_share(PromptDecoder, encoder)
    refiner = MaskRefiner.bind(settings, encoder, decoder)  # to look again from nearer, for small networks
    composer = ResultComposer.bind(settings)

    stages = Stages(encoder=encoder, decoder=decoder, refiner=refiner, inpainter=inpainter, composer=composer)
    runner = JobRunner.bind(settings, stages)
    return Ingress.options(num_replicas=settings.workers).bind(
        settings,
        intake=intake,
        encoder=encoder,
        decoder=decoder,
        refiner=refiner,
        inpainter=inpainter,
        runner=runner,
        sender=WebhookSender.bind(settings),
    )
