"""Walks a finished job again with the code of the folder that it is started in.

Arguments: the service's REDIS_URL, the job's id, where the artifacts go below the work folder. The stages
are the running service's; only the page's new one is deployed beside them. Prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping

import engine.sharpen
import ray
import yaml
from deployments.sharpener import Sharpener
from ray import serve

from deployments.job_request import SegmentRequest
from deployments.job_walk import JobWalk, Stages
from deployments.messages import PictureRef
from storage.redis_connection import RedisConnection
from storage.redis_jobs import RedisJobs


def numbers_of(stage: str) -> dict[str, object]:
    with open("serve_config.local.yaml") as file:
        deployments = yaml.safe_load(file)["applications"][0]["deployments"]
    (found,) = (item for item in deployments if item["name"] == stage)
    return dict(found)


async def walk(redis_url: str, job_id: str, folder: str) -> dict[str, object]:
    connection = RedisConnection(redis_url)
    job = await RedisJobs(connection).get(job_id)
    await connection.close()
    stages = Stages(
        **{
            field: serve.get_deployment_handle(name, "tapcut")
            for field, name in {
                "encoder": "ImageEncoder",
                "decoder": "PromptDecoder",
                "refiner": "MaskRefiner",
                "inpainter": "LamaInpainter",
                "composer": "ResultComposer",
            }.items()
        },
        sharpener=serve.get_deployment_handle("Sharpener", "extended"),
    )

    async def report(stage: str, progress: int, files: Mapping[str, str]) -> None:
        del stage, progress, files

    request = SegmentRequest.from_json(job.request)
    result = await JobWalk(stages, PictureRef.of(job), request, folder, report).run()
    return {"files": dict(result.files), "stages": sorted({timing.stage for timing in result.timings})}


if __name__ == "__main__":
    ray.init(
        address=os.environ["RAY_ADDRESS"], namespace="serve", log_to_driver=False, logging_level="warning"
    )
    # The service's processes import the service's own modules, which have no such one.
    ray.cloudpickle.register_pickle_by_value(engine.sharpen)
    serve.run(Sharpener.options(**numbers_of("Sharpener")).bind(), name="extended", route_prefix=None)
    try:
        print(json.dumps(asyncio.run(walk(*sys.argv[1:]))))
    finally:
        serve.delete("extended")
        ray.shutdown()
