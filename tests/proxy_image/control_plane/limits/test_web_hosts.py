"""Whose page a request is for."""

from __future__ import annotations

import pytest

from proxy_image.control_plane.limits.web_hosts import is_allowed


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080",
        "10.0.3.7",
        "[::1]:8080",
        "[fd00::1]",
        "localhost:8080",
        "LOCALHOST",
        "balancer:8080",
        "ip-10-0-3-7.eu-west-1.compute.internal:8080",
        "lb.prod.internal.",
        "grpc-lb.local",
        "internal-web-1234.eu-west-1.elb.amazonaws.com",
        "web-1234.elb.eu-west-1.amazonaws.com:8080",
        "web-1234.elb.cn-north-1.amazonaws.com.cn",
    ],
)
def test_a_balancers_own_names_need_no_setting(host: str) -> None:
    assert is_allowed(host, ())


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example.com:8080",
        "127.0.0.1.nip.io",
        "10.0.3.7.example.com",
        "localhost.example.com",
        "elb.amazonaws.com.example.com",
        "web-1234.elb.amazonaws.com.example.com",
        "x.s3.amazonaws.com",
        "[::1].example.com",
        "1.2.3.4.5",
    ],
)
def test_the_name_of_any_other_page_is_refused(host: str) -> None:
    assert not is_allowed(host, ())


@pytest.mark.parametrize(
    ("host", "names", "allowed"),
    [
        ("lb.example.com:8080", ["lb.example.com"], True),
        ("LB.example.com.", ["lb.Example.com"], True),
        ("a.lb.example.com", ["lb.example.com"], False),
        ("a.b.example.com", ["*.example.com"], True),
        ("example.com", ["*.example.com"], False),
        ("notexample.com", ["*.example.com"], False),
        ("anything.example.org", ["*"], True),
    ],
)
def test_names_that_people_use_are_a_setting(host: str, names: list[str], allowed: bool) -> None:
    assert is_allowed(host, names) is allowed
