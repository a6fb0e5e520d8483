"""What a job moves: Redis commands and bytes, files in the store, HTTP, and what hops between replicas.

Owns the counting, on a running service and (for the hops) on values of the same kind made in this process.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import redis

from capacity.one_client import OneClient
from capacity.visitor import fresh_seed, new_pictures
from trials.service import Service

# Sent by the service whether there are jobs or not; what remains of them after the idle rate is a job's.
IDLE_S = 6.0


class RedisCounts:
    """Commands and bytes that a Redis has handled since the last lap."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True)
        self.lap()

    def lap(self) -> Counter[str]:
        """`commands`, `scripts` (of them), `bytes in`, `bytes out`, `bytes logged` (AOF)."""
        stats: dict[str, Any] = {
            **self._redis.info("commandstats"),
            **self._redis.info("stats"),
            **self._redis.info("persistence"),
        }
        now = Counter(
            {
                "commands": int(stats["total_commands_processed"]),
                "scripts": sum(
                    stats.get(name, {}).get("calls", 0) for name in ("cmdstat_evalsha", "cmdstat_eval")
                ),
                "bytes in": int(stats["total_net_input_bytes"]),
                "bytes out": int(stats["total_net_output_bytes"]),
                "bytes logged": int(stats.get("aof_current_size", 0)),
            }
        )
        since: Counter[str] = Counter({key: now[key] - getattr(self, "_last", now)[key] for key in now})
        self._last = now
        return since


def count_traffic(
    service: Service, client: OneClient, objects: int, side: int, jobs: int = 4
) -> dict[str, float]:
    """Per visit of `objects` objects; bytes, or a count where the name says so. Polls are few and in it."""
    counts = RedisCounts(service.redis_url)
    time.sleep(IDLE_S)
    idle = counts.lap()
    pictures = new_pictures(jobs, side, fresh_seed())
    began = time.monotonic()
    files: Counter[str] = Counter()
    for picture in pictures:
        client.probe(picture, objects)
        files.update(client.files)
    seconds = time.monotonic() - began
    spent = counts.lap()
    redis_per_job = {
        f"Redis {name}": max(0.0, spent[name] - idle[name] * seconds / IDLE_S) / jobs for name in spent
    }
    downloads = sum(size for name, size in files.items() if name != "original.png")
    embedding = next((path.stat().st_size for path in (service.work_dir / ".embeddings").glob("*.npy")), 0)
    return {
        **redis_per_job,
        "upload": sum(map(len, pictures)) / jobs,
        "store: original.png": files["original.png"] / jobs,
        "store: results": downloads / jobs,
        "store: embedding": float(embedding),
        "store: files, count": sum(1 for _ in files) + 1,
    }


def count_hops(settings: Mapping[str, Any], objects: int, side: int) -> dict[str, float]:
    """Bytes of each message of one job, as pickled between replicas. Loads the networks in this process."""
    from deployments.messages import Decoded, Encoded, Filled, Refined
    from deployments.networks import load_decoder, load_encoder, load_inpainter
    from engine.lama.inpaint import plan_removal
    from engine.photo import read_photo
    from engine.refine import refine_object
    from engine.types import ObjectPrompt, RefineOptions
    from settings import read_settings
    from trials.scenes import OBJECTS

    chosen = read_settings(dict(settings))
    (data,) = new_pictures(1, side, fresh_seed())
    image = read_photo(data, max_pixels=chosen.max_pixels, max_side=chosen.max_image_size).image
    prompts = [
        ObjectPrompt(points=((x * image.width, y * image.height),), labels=(1,)) for x, y in OBJECTS[:objects]
    ]
    encoder, decoder = load_encoder(chosen), load_decoder(chosen)
    (embedding,) = encoder.encoder.encode([image])
    (decoded,) = decoder.decoder.decode([(embedding, prompts)])
    options, side_of_frame = RefineOptions(), decoder.image_size
    refined = [
        refine_object(one, prompt, image, side_of_frame, options, index)
        for index, (one, prompt) in enumerate(zip(decoded, prompts, strict=True))
    ]
    plan = plan_removal(image, refined, chosen.inpaint_sizes)
    fills = load_inpainter(chosen).inpainter.fill(plan.tasks)
    sizes = {
        "hop: embedding": size_of(Encoded(embedding, ())),
        "hop: logits": size_of(Decoded(tuple(decoded), side_of_frame, ())),
        "hop: masks and plan": size_of(Refined(tuple(refined), (), plan, ())),  # to runner and composer
        "hop: crops to fill": sum(map(size_of, plan.tasks[1:])),  # the first goes with masks and plan
        "hop: fills": sum(size_of(Filled(fill, ())) for fill in fills),
    }
    return {name: float(size) for name, size in sizes.items()}


def size_of(value: object) -> int:
    """Bytes of a value as it is sent; Ray's own envelope (hundreds of bytes) is not in it."""
    return len(pickle.dumps(value, protocol=5))
