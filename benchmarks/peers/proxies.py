"""The proxies that are compared, each as it comes: how it is started before the same two servers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxy_image.envoy.binary import find_envoy

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build" / "peers-venv" / "bin"
HERE = Path(__file__).resolve().parent
BALANCER = "this balancer"
DIRECT = "no proxy"


@dataclass(frozen=True, slots=True)
class Start:
    """A proxy's command, the files that it reads, and its environment beside the usual one."""

    command: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


Make = Callable[[Path, Sequence[int], Sequence[int]], Start]
"""Of a folder of its own, ports of its own (the first is for calls), and the servers' ports."""


def binary(name: str) -> str | None:
    """Of the environment of peers, or of this machine."""
    found = PEERS / name
    return str(found) if found.exists() else shutil.which(name)


def this_balancer(folder: Path, ports: Sequence[int], servers: Sequence[int]) -> Start:
    """The whole of it, supervisor and control plane too, with every default."""
    names = ("GRPC_LB_PORT", "GRPC_LB_READY_PORT", "GRPC_LB_WEB_PORT", "GRPC_LB_XDS_PORT")
    targets = {"services": [{"name": "echo", "targets": [f"127.0.0.1:{port}" for port in servers]}]}
    variables = {
        "GRPC_LB_TARGETS_FILE": str(folder / "targets.json"),
        "GRPC_LB_STATE_DIR": str(folder / "state"),
        "BIND_ADDRESS": "127.0.0.1",
        "GRPC_LB_DRAIN_DELAY_SECONDS": "0",
        "GRPC_LB_DRAIN_SECONDS": "0",
        **{name: str(port) for name, port in zip(names, ports, strict=True)},
    }
    return Start((sys.executable, "-m", "proxy_image"), {"targets.json": json.dumps(targets)}, variables)


def stock_envoy(folder: Path, ports: Sequence[int], servers: Sequence[int]) -> Start:
    """The least configuration that carries gRPC."""
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in servers
    ]
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}
    manager = {
        "@type": (
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": "calls",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": router}],
    }
    config = {
        "static_resources": {
            "listeners": [
                {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": ports[0]}},
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "echo",
                    "type": "STATIC",
                    "load_assignment": {"cluster_name": "echo", "endpoints": [{"lb_endpoints": hosts}]},
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
                    },
                }
            ],
        }
    }
    path = folder / "envoy.json"
    command = (str(find_envoy(None)), "--config-path", str(path), "--disable-hot-restart", "--log-level", "error")
    return Start(command, {path.name: json.dumps(config)})


def traefik(folder: Path, ports: Sequence[int], servers: Sequence[int]) -> Start:
    dynamic = {
        "http": {
            "routers": {"echo": {"rule": "PathPrefix(`/`)", "service": "echo", "entryPoints": ["calls"]}},
            "services": {
                "echo": {"loadBalancer": {"servers": [{"url": f"h2c://127.0.0.1:{port}"} for port in servers]}}
            },
        }
    }
    path = folder / "dynamic.yaml"
    return Start(
        (
            binary("traefik") or "traefik",
            f"--entrypoints.calls.address=127.0.0.1:{ports[0]}",
            f"--providers.file.filename={path}",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--log.level=ERROR",
        ),
        {path.name: json.dumps(dynamic)},
    )


def caddy(folder: Path, ports: Sequence[int], servers: Sequence[int]) -> Start:
    proxy = {
        "handler": "reverse_proxy",
        "transport": {"protocol": "http", "versions": ["h2c", "2"]},
        "upstreams": [{"dial": f"127.0.0.1:{port}"} for port in servers],
        "load_balancing": {"selection_policy": {"policy": "round_robin"}},
        "flush_interval": -1,
    }
    server = {
        "listen": [f"127.0.0.1:{ports[0]}"],
        "protocols": ["h1", "h2c"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
    }
    config = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"servers": {"calls": server}}},
    }
    path = folder / "caddy.json"
    command = (binary("caddy") or "caddy", "run", "--config", str(path))
    return Start(command, {path.name: json.dumps(config)}, {"XDG_DATA_HOME": str(folder)})


def haproxy(folder: Path, ports: Sequence[int], servers: Sequence[int]) -> Start:
    hosts = "\n".join(f"  server s{port} 127.0.0.1:{port} proto h2" for port in servers)
    config = f"""global
  log stderr format raw local0 emerg
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen calls
  bind 127.0.0.1:{ports[0]} proto h2
  balance roundrobin
{hosts}
"""
    path = folder / "haproxy.cfg"
    return Start((binary("haproxy") or "haproxy", "-db", "-q", "-f", str(path)), {path.name: config})


def nginx(folder: Path, ports: Sequence[int], servers: Sequence[int]) -> Start:
    hosts = " ".join(f"server 127.0.0.1:{port};" for port in servers)
    temporary = " ".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = f"""daemon off; pid {folder / "pid"}; error_log stderr crit; worker_processes auto;
events {{ worker_connections 1024; }}
http {{
  access_log off; {temporary} client_max_body_size 0; keepalive_requests 1000000000; grpc_read_timeout 1h;
  upstream echo {{ {hosts} keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{ports[0]} http2; location / {{ grpc_pass grpc://echo; }} }}
}}
"""
    path = folder / "nginx.conf"
    return Start((binary("nginx") or "nginx", "-e", "stderr", "-c", str(path)), {path.name: config})


def naive(_folder: Path, ports: Sequence[int], servers: Sequence[int]) -> Start:
    """What one writes in an hour: a generic handler that makes the same call again."""
    return Start((sys.executable, str(HERE / "naive_proxy.py"), str(ports[0]), *map(str, servers)))


PROXIES: Mapping[str, tuple[Make, str | None]] = {
    BALANCER: (this_balancer, None),
    "Envoy, stock": (stock_envoy, None),
    "HAProxy": (haproxy, "haproxy"),
    "nginx": (nginx, "nginx"),
    "Traefik": (traefik, "traefik"),
    "Caddy": (caddy, "caddy"),
    "grpcio proxy": (naive, None),
}
"""What is compared: how it is started, and the program that must be there for it."""


def available() -> dict[str, Make]:
    return {name: make for name, (make, needs) in PROXIES.items() if needs is None or binary(needs) is not None}


@contextmanager
def running(start: Start, folder: Path, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The proxy's first process; it is told to stop at the end, and killed if it does not."""
    folder.mkdir(parents=True)
    for name, text in start.files.items():
        (folder / name).write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            start.command,
            cwd=ROOT,
            env={**variables, **start.variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
