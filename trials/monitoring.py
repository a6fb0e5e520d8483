"""A real Prometheus beside a running service: does every query of the dashboards and alerts find something?

Owns the run: `python -m trials.monitoring --seconds 90`. Needs Debian's `prometheus`. Starts a
service and Prometheus on loopback, sends jobs, previews, a refused upload and a webhook, then evaluates each
query and prints what it found. Ends with 1 if a query that light load should fill is empty.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import yaml
from PIL import Image, ImageDraw

from trials.service import ROOT, free_port, running_service

DEPLOY = ROOT / "deploy"


def photo(seed: int) -> bytes:
    """A picture with one round object, another one for each seed."""
    image = Image.new("RGB", (320, 240), (30, 60 + seed % 150, 90))
    ImageDraw.Draw(image).ellipse((110, 70, 210, 170), fill=(220, 180, 40))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def send_some(client: httpx.Client, seed: int) -> None:
    """One picture's whole way, with one or three taps; and an upload that is refused."""
    job = client.post("/upload", files={"file": ("p.png", photo(seed), "image/png")}).json()["job_id"]
    client.post("/preview", json={"job_id": job, "points": [[160, 120]], "labels": [1]})
    taps = [[160, 120]] if seed % 2 else [[160, 120], [120, 110], [200, 130]]
    client.post(
        "/segment",
        params={"job_id": job},
        json={"coordinates_list": taps, "callback_url": "http://127.0.0.1:9/never"},
    )
    while client.get(f"/status/{job}").json()["status"] == "processing":
        time.sleep(0.2)
    client.get(f"/download/{job}/full_inpainted.png")
    client.post("/upload", files={"file": ("p.png", b"no picture", "image/png")})


def write_prometheus(folder: Path, service: str, ray: int) -> Path:
    """The configuration of compose.yaml with this run's addresses, every second instead of every 15."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "2s", "evaluation_interval": "2s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    for job, target in zip(config["scrape_configs"], (service, f"127.0.0.1:{ray}"), strict=True):
        job["static_configs"] = [{"targets": [target]}]
        job.pop("authorization", None)
        job["scrape_timeout"] = "2s"
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def queries() -> list[tuple[str, str]]:
    """Every query of dashboards, recording rules and alerts, with where it stands."""
    found = []
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                found.append((f"{path.stem}: {panel['title']}", target["expr"]))
    for kind, name in (("record", "rules.yaml"), ("alert", "alerts.yaml")):
        for group in yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]:
            found += [(f"{kind}: {rule[kind]}", rule["expr"]) for rule in group["rules"]]
    return found


def main() -> int:
    """Run it; 1 if a query is empty that should not be."""
    parser = argparse.ArgumentParser(description="Evaluate every query against a running service.")
    parser.add_argument("--seconds", type=float, default=90, help="how long the service is used")
    options = parser.parse_args()
    if shutil.which("prometheus") is None:
        print("prometheus is not installed: apt-get install prometheus", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="tapcut-monitoring-"))
    ray_port, port = free_port(), free_port()
    settings = {
        "RAY_METRICS_PORT": str(ray_port),
        "RAY_metrics_report_interval_ms": "2000",
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
        "REPORTER_UPDATE_INTERVAL_MS": "2000",
        "WEBHOOK_SECRET": "whsec_" + "c2VjcmV0IG9mIHRoZSB0cmlhbCBvZiBtb25pdG9y",
        "WEBHOOK_ALLOW_HTTP": "true",
        "WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
    }
    with running_service(settings) as service:
        config = write_prometheus(folder, service.url.removeprefix("http://"), ray_port)
        with (folder / "prometheus.log").open("w") as log:
            prometheus = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            with httpx.Client(base_url=service.url, timeout=60) as client:
                deadline, seed = time.monotonic() + options.seconds, 0
                while time.monotonic() < deadline:
                    seed += 1
                    send_some(client, seed)
            time.sleep(6)  # two scrapes and two evaluations more
            return report(f"http://127.0.0.1:{port}", seed)
        finally:
            prometheus.terminate()
            prometheus.wait(20)
            shutil.rmtree(folder, ignore_errors=True)


def report(prometheus: str, sent: int) -> int:
    """Print what each query finds; 1 if one is empty or not a number without a reason."""
    print(f"{sent} pictures sent")
    wrong = 0
    for where, query in queries():
        answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=20).json()
        result: list[dict[str, Any]] = answer.get("data", {}).get("result", [])
        numbers = [one["value"][1] for one in result]
        filled = [number for number in numbers if number != "NaN"]
        fires = where.startswith("alert: ")
        bad = answer["status"] != "success" or (bool(filled) if fires else not filled)
        wrong += bad
        shown = ", ".join(f"{float(number):.3g}" for number in filled[:6])
        print(f"{'WRONG' if bad else 'ok':5} {where:60} {len(numbers):3} series {shown}")
        if bad:
            print(f"      {query} {answer.get('error', '')}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
