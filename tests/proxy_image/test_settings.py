"""Settings: one environment in, one object out, and a sentence for each mistake."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_image.metadata import MetadataLimits
from proxy_image.settings import VARIABLES, SettingsError, from_environment, to_environment, unknown_variables

MINIMAL = {"GRPC_LB_PARAMETER_PREFIX": "/grpc-lb/stack/name"}


def test_all_but_the_source_of_targets_has_a_default() -> None:
    settings = from_environment(MINIMAL)
    assert settings.parameter_prefix == "/grpc-lb/stack/name"
    assert settings.targets_file is None
    assert (settings.bind_address, settings.port, settings.ready_port) == ("0.0.0.0", 50051, 8081)
    assert (settings.web_port, settings.xds_port) == (8080, 18000)
    assert settings.state_dir == Path("/var/lib/grpc-lb")
    assert settings.ads_socket == Path("/var/lib/grpc-lb/run/ads.sock")
    assert (settings.poll_seconds, settings.idle_poll_seconds) == (0.5, 5)
    assert (settings.drain_delay_seconds, settings.drain_seconds) == (5, 30)
    assert settings.envoy_concurrency is None
    assert settings.log_level == "info"
    assert settings.metadata == MetadataLimits(kib=1024, entries=2000)


def test_a_balancer_of_several_clusters_has_a_prefix_for_each() -> None:
    settings = from_environment({"GRPC_LB_PARAMETER_PREFIX": "/grpc-lb/a,/grpc-lb/b"})
    assert settings.parameter_prefixes == ("/grpc-lb/a", "/grpc-lb/b")
    assert from_environment(to_environment(settings)) == settings


def test_names_of_the_web_page_are_given_with_commas() -> None:
    settings = from_environment({**MINIMAL, "GRPC_LB_WEB_HOSTS": "lb.example.com, *.corp.example.com"})
    assert settings.web_hosts == ("lb.example.com", "*.corp.example.com")
    assert from_environment(to_environment(settings)) == settings
    assert from_environment(MINIMAL).web_hosts == ()


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert from_environment({**MINIMAL, "GRPC_LB_PORT": "", "GRPC_LB_TARGETS_FILE": " "}) == from_environment(MINIMAL)


def test_a_missing_source_says_what_to_set() -> None:
    assert _problems({}) == [
        "GRPC_LB_PARAMETER_PREFIX (--parameter-prefix) is missing: set it to an SSM path, "
        "or set GRPC_LB_TARGETS_FILE (--targets) to a targets file"
    ]


def test_two_sources_are_refused() -> None:
    (problem,) = _problems({**MINIMAL, "GRPC_LB_TARGETS_FILE": "x.json"})
    assert "are both set" in problem


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("GRPC_LB_PARAMETER_PREFIX", "grpc-lb", "must be a parameter path such as /grpc-lb/stack/name"),
        ("GRPC_LB_PARAMETER_PREFIX", "/a b", "must be a parameter path"),
        ("GRPC_LB_PARAMETER_PREFIX", "/a,", "must be a parameter path such as"),
        ("GRPC_LB_PARAMETER_PREFIX", "/a,/b,/a", "must be parameter paths that differ"),
        ("BIND_ADDRESS", "localhost", "must be an IP address"),
        ("GRPC_LB_PORT", "0", "must be a whole number 1..65535"),
        ("GRPC_LB_PORT", "http", "must be a whole number 1..65535"),
        ("GRPC_LB_READY_PORT", "65536", "must be a whole number 1..65535"),
        ("GRPC_LB_WEB_PORT", "-1", "must be a whole number 1..65535"),
        ("GRPC_LB_WEB_HOSTS", "http://lb.example.com", "must be host names with commas, such as lb.example.com"),
        ("GRPC_LB_WEB_HOSTS", "lb.*.example.com", "must be host names with commas"),
        ("GRPC_LB_XDS_PORT", "18000.0", "must be a whole number 1..65535"),
        ("GRPC_LB_POLL_SECONDS", "0", "must be seconds, 0.05..20"),
        ("GRPC_LB_POLL_SECONDS", "nan", "must be seconds, 0.05..20"),
        ("GRPC_LB_IDLE_POLL_SECONDS", "21", "must be seconds, 0.05..20"),
        ("GRPC_LB_DRAIN_DELAY_SECONDS", "-1", "must be seconds, 0..3600"),
        ("GRPC_LB_DRAIN_SECONDS", "soon", "must be seconds, 0..3600"),
        ("GRPC_LB_DRAIN_SECONDS", "inf", "must be seconds, 0..3600"),
        ("GRPC_LB_ENVOY_CONCURRENCY", "0", "must be a whole number 1..256"),
        ("GRPC_LB_METADATA_KIB", "8193", "must be a whole number 8..8192"),
        ("GRPC_LB_METADATA_ENTRIES", "10", "must be a whole number 50..20000"),
        ("GRPC_LB_LOG_LEVEL", "trace", "must be one of debug, info, warning, error"),
        ("GRPC_LB_CLOUDWATCH_BALANCER", "shop\nfront", "must be 1 to 255 of"),
        ("GRPC_LB_CLOUDWATCH_NAMESPACE", "AWS/ECS", "without AWS/ or : at the beginning"),
        ("GRPC_LB_ACCESS_LOG", "some", "must be one of off, failures, sampled, all"),
        ("GRPC_LB_ACCESS_LOG_PERCENT", "-1", "must be percent, 0..100"),
        ("GRPC_LB_CALL_STATISTICS", "all", "must be one of off, services, methods"),
        ("GRPC_LB_TRACING_PERCENT", "101", "must be percent, 0..100"),
        ("GRPC_LB_TRACING_PERCENT", "nan", "must be percent, 0..100"),
        ("GRPC_LB_TRACING_COLLECTOR", "collector", "must be a host and a port such as 127.0.0.1:4317"),
        ("GRPC_LB_TRACING_COLLECTOR", "http://collector:4317", "must be a host and a port"),
        ("GRPC_LB_TRACING_COLLECTOR", "::1:4317", "must be a host and a port"),
        ("GRPC_LB_TRACING_COLLECTOR", "collector:0", "must be a host and a port"),
        ("GRPC_LB_TRACING_SERVICE_NAME", "a\tb", "must be at most 255 printable characters"),
        ("GRPC_LB_TRACING_ATTRIBUTES", "team", "must be pairs such as"),
        ("GRPC_LB_TRACING_ATTRIBUTES", "team=a,team=b", "must have each key once"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    (problem,) = _problems({**MINIMAL, name: value})
    assert problem.startswith(name)
    assert allowed in problem
    assert problem.endswith(f"got {value!r}")


def test_several_mistakes_are_told_at_once() -> None:
    problems = _problems({"GRPC_LB_PORT": "x", "GRPC_LB_LOG_LEVEL": "loud", "GRPC_LB_WEB_PORT": "8081"})
    assert len(problems) == 4  # and the missing source
    assert (
        "GRPC_LB_WEB_PORT (--web-port) must differ from GRPC_LB_READY_PORT (--ready-port), "
        "got 8081 for both: change either"
    ) in problems


def test_an_idle_balancer_never_reads_more_often_than_one_that_expects_changes() -> None:
    """GIVEN a slow interval alone, THEN the idle one is as long; GIVEN both in the wrong order, THEN that is said."""
    assert from_environment(MINIMAL | {"GRPC_LB_POLL_SECONDS": "15"}).idle_poll_seconds == 15
    (problem,) = _problems(MINIMAL | {"GRPC_LB_POLL_SECONDS": "3", "GRPC_LB_IDLE_POLL_SECONDS": "2"})
    assert problem == (
        "GRPC_LB_IDLE_POLL_SECONDS (--idle-poll-seconds) must be at least GRPC_LB_POLL_SECONDS (--poll-seconds), "
        "got 2 and 3: change either"
    )


def test_a_typing_error_in_a_name_is_told_with_the_nearest_name() -> None:
    assert unknown_variables({"GRPC_LB_DRAIN_SECOND": "3", "GRPC_LB_PORT": "1", "PATH": "/"}) == (
        "GRPC_LB_DRAIN_SECOND is not a setting and has no effect, did you mean GRPC_LB_DRAIN_SECONDS",
    )
    (sentence,) = unknown_variables({"GRPC_LB_ZZZ": "3"})
    assert "known are GRPC_LB_PARAMETER_PREFIX" in sentence


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "GRPC_LB_PORT": st.integers(1, 9999).map(str),
            "GRPC_LB_DRAIN_SECONDS": st.floats(0, 3600).map(str),
            "GRPC_LB_POLL_SECONDS": st.floats(0.05, 20).map(str),
            "GRPC_LB_ENVOY_CONCURRENCY": st.integers(1, 256).map(str),
            "GRPC_LB_METADATA_KIB": st.integers(8, 8192).map(str),
            "GRPC_LB_METADATA_ENTRIES": st.integers(50, 20_000).map(str),
            "GRPC_LB_LOG_LEVEL": st.sampled_from(["debug", "INFO", "warning"]),
            "BIND_ADDRESS": st.ip_addresses().map(str),
            "GRPC_LB_ACCESS_LOG": st.sampled_from(["off", "Failures", "sampled", "all"]),
            "GRPC_LB_ACCESS_LOG_PERCENT": st.floats(0, 100).map(str),
            "GRPC_LB_CALL_STATISTICS": st.sampled_from(["off", "services", "methods"]),
            "GRPC_LB_TRACING_PERCENT": st.floats(0, 100).map(str),
            "GRPC_LB_TRACING_COLLECTOR": st.sampled_from(["collector.test:1", "10.0.0.1:4317", "[::1]:65535"]),
            "GRPC_LB_TRACING_ATTRIBUTES": st.sampled_from(["team=a b", "team=a, service.namespace=x"]),
        },
    ).filter(lambda env: env.get("GRPC_LB_PORT") not in ("8080", "8081"))
)
def test_a_child_that_is_handed_the_settings_reads_the_same(env: dict[str, str]) -> None:
    settings = from_environment(MINIMAL | env)
    assert from_environment(to_environment(settings)) == settings


@given(st.dictionaries(st.sampled_from([variable.name for variable in VARIABLES]), st.text()))
def test_whatever_is_set_is_read_or_refused_in_sentences(env: dict[str, str]) -> None:
    problems: tuple[str, ...] = ()
    try:
        from_environment(env)
    except SettingsError as error:
        problems = error.problems
    assert all(" must " in sentence or " missing" in sentence or "unset" in sentence for sentence in problems)


def _problems(env: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        from_environment(env)
    return list(caught.value.problems)
