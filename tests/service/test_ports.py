from __future__ import annotations

import stat

import grpc
import psutil
import pytest

from trials.service import Service


def listening(service: Service) -> list[tuple[str, str, int]]:
    """Process, address and port of every socket of the service that waits for connections."""
    found = []
    for process in [service.process, *service.process.children(recursive=True)]:
        try:
            for one in process.net_connections("inet"):
                if one.status == psutil.CONN_LISTEN:
                    found.append((" ".join(process.cmdline())[:80], one.laddr.ip, one.laddr.port))
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def test_only_replicas_can_be_reached_from_other_machines(service: Service) -> None:
    open_to_all = [
        one for one in listening(service) if one[1] not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
    ]
    assert all(name.startswith("ray::ServeReplica") for name, _, _ in open_to_all), open_to_all


def test_a_replicas_port_answers_nobody_without_the_token(service: Service) -> None:
    ports = [port for name, address, port in listening(service) if "ServeReplica" in name and address == "::"]
    assert ports
    for port in ports:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_rays_token_is_for_its_owner_alone(service: Service) -> None:
    token = service.work_dir / ".ray_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600 and len(token.read_text()) == 64
