"""Debian's nginx with the project's own templates, on ports of its own."""

from __future__ import annotations

import os
import shutil
import socket
import string
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trials.service import free_port

NGINX_FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

# What the nginx image's own nginx.conf does, without its user and its folders.
MAIN = """
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
worker_processes 1;
daemon off;
{main}
events {{ worker_connections 512; }}
http {{
    default_type application/octet-stream;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    include {folder}/conf.d/*.conf;
}}
"""


def write_configuration(folder: Path, port: int, upstream: str, tls_port: int = 0, **variables: str) -> Path:
    """The templates filled as the image fills them; only the two fixed ports become free ones."""
    values = {
        "TAPCUT_UPSTREAM": upstream,
        "TAPCUT_HTTP": "routes",
        "TAPCUT_RATE": "200r/s",
        "TAPCUT_CONNECTIONS": "64",
        "TAPCUT_UPLOAD_BYTES": "2016384",
        "TAPCUT_JSON_BYTES": "300000",
        **variables,
    }
    (folder / "conf.d").mkdir(parents=True)
    templates = list((NGINX_FOLDER / "templates").glob("*.template"))
    if tls_port:
        templates += (NGINX_FOLDER / "tls").glob("*.template")
    for template in templates:
        text = template.read_text()
        # As envsubst does: nothing but ${TAPCUT_...} is touched.
        names = {name for name in string.Template(text).get_identifiers() if name.startswith("TAPCUT_")}
        for name in names:
            text = text.replace(f"${{{name}}}", values[name])
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
        text = text.replace("listen 8443 ", f"listen 127.0.0.1:{tls_port} ")
        text = text.replace("/dev/stdout", f"{folder}/access.log")
        (folder / "conf.d" / template.name.removesuffix(".template")).write_text(text)
    main = folder / "nginx.conf"
    main.write_text(MAIN.format(folder=folder, main="user root;" if os.geteuid() == 0 else ""))
    return main


@contextmanager
def running_nginx(folder: Path, upstream: str, **variables: str) -> Iterator[str]:
    """The edge in front of `upstream`; its address. Its logs are in `folder`."""
    port = free_port()
    main = write_configuration(folder, port, upstream, **variables)
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-c", main, "-e", folder / "error.log"])
    try:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None and time.monotonic() < deadline, (folder / "error.log").read_text()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
