"""boto3 clients of the local AWS."""

from __future__ import annotations

from typing import Any


def client_of(endpoint: str, region: str, service: str, *, role: str | None = None) -> Any:
    """A client of a service; with a role's ARN, one that may do what the role's policies allow."""
    # Imported here: most commands need no client, and boto3 is slow to import.
    import boto3
    import botocore.session
    from botocore.config import Config

    # Without the user's profile, which may name one that is not there.
    plain = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    return boto3.Session(botocore_session=plain).client(
        service,  # type: ignore[call-overload]  # any service: the stubs know only literal names
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the stand-in takes any
        aws_session_token=role,
        config=Config(proxies={}, connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}),
    )
