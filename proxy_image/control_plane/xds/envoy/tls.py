"""TLS from Envoy to the targets."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from grpc_lb_contract import Tls, TlsVerify
from proxy_image.control_plane.xds.messages import packed

# Where Debian, Fedora (Amazon Linux), openSUSE and Alpine (macOS) have their CAs; SSL_CERT_FILE comes before them.
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def find_system_cas() -> Path | None:
    """The file of this machine's CAs, None where there is none that holds any: Envoy rejects a cluster that names a
    missing or empty one."""
    return next(filter(_holds_cas, _candidates()), None)


def _candidates() -> Iterator[Path]:
    default = ssl.get_default_verify_paths().cafile
    if default is not None:
        yield Path(default)
    yield from map(Path, BUNDLES)


def _holds_cas(path: Path) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ssl.SSLError):
        return False
    return context.cert_store_stats()["x509_ca"] > 0


def transport_socket(tls: Tls, system_cas: Path | None) -> Any:
    """None for plain text. `system_cas` must be there for verify system."""
    if not tls.enabled:
        return None
    context = tls_pb2.UpstreamTlsContext(
        sni=tls.server_name or "",
        common_tls_context=tls_pb2.CommonTlsContext(
            # gRPC servers may refuse a client without it. Envoy's calls have it anyway, its health checks do not.
            # https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#security
            alpn_protocols=["h2"],
            validation_context=_validation(tls, system_cas),
        ),
    )
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def _validation(tls: Tls, system_cas: Path | None) -> Any:
    context = common_pb2.CertificateValidationContext(verify_certificate_spki=sorted(tls.pins))
    if tls.verify is TlsVerify.SYSTEM:
        context.trusted_ca.filename = str(system_cas)
        context.match_typed_subject_alt_names.add(
            san_type=common_pb2.SubjectAltNameMatcher.DNS, matcher=string_pb2.StringMatcher(exact=tls.server_name)
        )
    return context
