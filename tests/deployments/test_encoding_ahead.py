from __future__ import annotations

import asyncio

from deployments.encoding_ahead import AT_ONCE, WAITING, EncodingAhead
from deployments.messages import PictureRef


class Encoder:
    """Encodes while `open`; knows what it encoded and how many at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.encoded: list[str] = []
        self.busy = self.most = 0

    async def encode(self, picture: PictureRef) -> None:
        self.busy += 1
        self.most = max(self.most, self.busy)
        await self.open.wait()
        self.busy -= 1
        if picture.digest == "damaged":
            raise RuntimeError("no such picture")
        self.encoded.append(picture.digest)


def picture(digest: str) -> PictureRef:
    return PictureRef("0" * 32, "original.png", digest, 64, 48)


async def until(encoder: Encoder, count: int) -> None:
    async with asyncio.timeout(10):
        while len(encoder.encoded) < count:
            await asyncio.sleep(0)


async def test_pictures_of_many_users_are_all_encoded_before_their_taps_a_few_at_once() -> None:
    encoder = Encoder()
    ahead = EncodingAhead(encoder.encode)
    wanted = [f"{number:02}" for number in range(32)]
    assert all(ahead.want(picture(digest)) for digest in wanted)
    async with asyncio.timeout(10):
        while encoder.busy < AT_ONCE:
            await asyncio.sleep(0)
    encoder.open.set()
    await until(encoder, 32)
    assert encoder.encoded == wanted, "not first come, first encoded"
    assert encoder.most == AT_ONCE


async def test_one_that_fails_keeps_no_place_and_too_many_are_left_to_their_taps() -> None:
    encoder = Encoder()
    ahead = EncodingAhead(encoder.encode)
    places = AT_ONCE + WAITING
    assert [ahead.want(picture("damaged")) for _ in range(places + 1)] == [True] * places + [False]
    encoder.open.set()
    async with asyncio.timeout(10):
        while not ahead.want(picture("good")):
            await asyncio.sleep(0)
        await until(encoder, 1)
