import io
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import uvicorn
from PIL import Image

from benchmarks.customer import Customer
from benchmarks.plain_server import Networks, create_app
from engine.checkpoints import BUNDLED_FOLDER
from tests.service.pictures import DISC, scene


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The plain server with the small networks, on a port of its own."""
    networks = Networks(BUNDLED_FOLDER / "mobile_sam.safetensors", BUNDLED_FOLDER / "lama.safetensors")
    app = create_app(networks, tmp_path_factory.mktemp("jobs"), max_image_size=400)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([taken],))
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_the_plain_server_answers_the_briefs_workflow(url: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, "PNG")
    with Customer(url) as customer:
        job_id = customer.upload(buffer.getvalue())
        # The picture of 480 px was scaled down to 400, and taps are in what is stored.
        job = customer.job(job_id, [(DISC[0] / 1.2, DISC[1] / 1.2)], detail=True)

        def picture(name: str) -> np.ndarray:
            answer = customer.api.get(f"/download/{job_id}/{name}").raise_for_status()
            return np.asarray(Image.open(io.BytesIO(answer.content)))

        original, mask, full = (picture(f"{n}.png") for n in ("original", "mask_0", "full_inpainted"))
        assert original.shape == (267, 400, 3) and mask.shape == original.shape[:2]
        assert picture("cropped_0.png").shape[2] == 4
        assert (full != original)[mask > 0].any(), "the object is still there"
        assert np.array_equal(picture("inpainted_0.png"), full), "one object alone is all of them"
        assert {"encode", "decode", "inpaint each", "inpaint all"} <= job.status["seconds"].keys()
        customer.forget(job_id)
        assert customer.api.get(f"/status/{job_id}").status_code == 404


def test_what_is_no_picture_and_what_is_no_job_are_refused_in_the_briefs_words(url: str) -> None:
    with Customer(url) as customer:
        answer = customer.api.post("/upload", files={"file": ("a.png", b"no picture")})
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith("Upload failed: Invalid image data")
        missing = customer.api.post("/segment", params={"job_id": "0"}, json={"coordinates_list": [[1, 1]]})
        assert (missing.status_code, missing.json()["detail"]) == (404, "Job not found")
