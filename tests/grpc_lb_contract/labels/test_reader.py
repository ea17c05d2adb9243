from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import LabelReading, Registration, Route, read_labels
from grpc_lb_contract.labels import names
from grpc_lb_contract.labels.names import LABELS
from grpc_lb_contract.labels.reader import MAX_ERRORS, MAX_SUGGESTIONS
from tests.growth import assert_grows_in_proportion
from tests.grpc_lb_contract.strategies import registrations


def read(
    labels: Mapping[str, str], *, mapped_ports: Sequence[int] = (50051,), default_service: str = "rng"
) -> LabelReading:
    return read_labels(labels, mapped_ports=mapped_ports, default_service=default_service, family="rng-family")


def messages(reading: LabelReading) -> list[str]:
    return [str(error) for error in reading.errors]


@given(registrations)
def test_labels_written_are_labels_read(registration: Registration) -> None:
    reading = read(registration.to_labels(), mapped_ports=[registration.port])

    assert reading == LabelReading(registration)


def test_one_label_is_enough_for_a_container_with_one_port() -> None:
    reading = read({"grpc-lb.enable": "true"}, default_service="Prod_RandomNumbers")

    assert reading == LabelReading(Registration("prod-randomnumbers", 50051))


@pytest.mark.parametrize(
    "labels", [{}, {"grpc-lb.enable": "false"}, {"grpc-lb.service": "rng"}, {"traefik.enable": "true"}]
)
def test_a_container_takes_part_only_when_enabled(labels: Mapping[str, str]) -> None:
    assert read(labels) == LabelReading(None)


def test_every_host_comes_with_every_grpc_service() -> None:
    reading = read({"grpc-lb.enable": "true", "grpc-lb.hosts": "a.b, C.d", "grpc-lb.grpc-services": "x.Y,x.Z"})

    assert reading.registration is not None
    assert reading.registration.routes == (
        Route("a.b", "x.Y"),
        Route("a.b", "x.Z"),
        Route("c.d", "x.Y"),
        Route("c.d", "x.Z"),
    )


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("grpc-lb.enable", "yes", "enable must be true or false, got 'yes'"),
        ("grpc-lb.service", "My Service", "service must be 1 to 63 of a-z, 0-9 and -"),
        ("grpc-lb.service", "", "service must be 1 to 63 of a-z, 0-9 and -"),
        ("grpc-lb.port", "9", "port must be one of the mapped ports 50051, got '9'"),
        ("grpc-lb.port", "", "port must be one of the mapped ports 50051, got ''"),
        ("grpc-lb.port", "-1", "port must be one of the mapped ports 50051, got '-1'"),
        ("grpc-lb.port", "٥٠٠٥١", "port must be one of the mapped ports 50051"),
        ("grpc-lb.port", "9" * 5000, "port must be one of the mapped ports 50051"),
    ],
)
def test_a_label_that_all_stands_on_takes_the_container_out(label: str, value: str, message: str) -> None:
    reading = read({"grpc-lb.enable": "true", label: value})

    assert reading.registration is None
    assert messages(reading)[0].startswith(message)
    assert messages(reading)[0].endswith(f"got {value!r} (label {label} of task family rng-family)")


def test_invariant_11_a_bad_label_takes_out_only_what_it_stands_on() -> None:
    reading = read(
        {
            "grpc-lb.enable": "true",
            "grpc-lb.hosts": "good.example,bad host,also.good:443",
            "grpc-lb.grpc-services": "rng.v1.RandomNumber,/slash",
            "grpc-lb.colour": "blue",
        }
    )

    assert reading.registration == Registration("rng", 50051, ("good.example",), ("rng.v1.RandomNumber",))
    assert [(error.label, error.family) for error in reading.errors] == [
        ("grpc-lb.hosts", "rng-family"),
        ("grpc-lb.hosts", "rng-family"),
        ("grpc-lb.grpc-services", "rng-family"),
        ("grpc-lb.colour", "rng-family"),
    ]


def test_hosts_that_are_all_bad_do_not_widen_to_all_hosts() -> None:
    reading = read({"grpc-lb.enable": "true", "grpc-lb.hosts": "bad host"})

    assert reading.registration is not None
    assert reading.registration.routes == ()


def test_more_routes_than_a_document_can_bear_are_refused_with_the_label_that_has_too_many() -> None:
    hosts = ",".join(f"h{number}.example" for number in range(9))
    grpc_services = ",".join(f"pkg.Service{number}" for number in range(8))

    reading = read({"grpc-lb.enable": "true", "grpc-lb.hosts": hosts, "grpc-lb.grpc-services": grpc_services})

    assert reading.registration is not None
    assert reading.registration.routes == ()
    assert [error.label for error in reading.errors] == ["grpc-lb.hosts"]
    assert "at most 64" in messages(reading)[0]


@pytest.mark.parametrize(
    "made",
    [
        lambda errors: {f"grpc-lb.retry.max-retries{number}": "" for number in range(errors)},
        lambda errors: {f"grpc-lb.routes.r{number}.host": "" for number in range(errors)},
        lambda errors: {"grpc-lb.hosts": "A b," * (errors - 1) + "A b"},
    ],
)
def test_errors_that_fill_a_task_definition_are_counted_beyond_the_first_hundred(
    made: Callable[[int], dict[str, str]],
) -> None:
    labels = made(2_500)
    reading = read({"grpc-lb.enable": "true", "grpc-lb.weight": "heavy", **labels})

    assert_grows_in_proportion(lambda errors: read({"grpc-lb.enable": "true", **made(errors)}), 2_500)
    assert len(reading.errors) == MAX_ERRORS
    assert "(and 2,401 more errors of this container), got " in messages(reading)[-1]
    assert any(error.label == "grpc-lb.weight" for error in reading.errors) or "grpc-lb.hosts" in labels


def test_an_unknown_label_names_the_one_that_may_be_meant() -> None:
    (message,) = messages(read({"grpc-lb.enable": "true", "grpc-lb.host": "a.b"}))

    assert "(grpc-lb.hosts?)" in message


@pytest.mark.parametrize(
    "label",
    [
        "grpc-lb.host",
        "grpc-lb.Hosts",
        "GRPC-LB.hosts",
        "Grpc-Lb.host",
        "grpc\N{EN DASH}lb.hosts",
        "grpc-lb.grpc_services",
        "grpc-lb.method",
        "grpc-lb.metadat",
    ],
)
def test_a_misspelt_label_about_calls_takes_no_call_instead_of_every_one(label: str) -> None:
    reading = read({"grpc-lb.enable": "true", label: "x=y"})

    assert reading.registration is not None
    assert reading.registration.routes == ()
    (message,) = messages(reading)
    assert "?) (the service has no route now), got 'x=y'" in message


def test_a_misspelt_label_of_a_named_route_takes_that_route_out_alone() -> None:
    labels = {"grpc-lb.hosts": "a.b", "grpc-lb.routes.slow.host": "c.d", "grpc-lb.routes.slow.methods": "x.Y/Z"}
    reading = read({"grpc-lb.enable": "true", **labels, "grpc-lb.routes.fast.hosts": "e.f"})

    assert reading.registration is not None
    assert [str(route) for route in reading.registration.routes] == [
        "host a.b and gRPC service *",
        "host e.f and gRPC service *",
    ]
    assert "(the route is not there now)" in messages(reading)[0]


@pytest.mark.parametrize(
    "labels", [{"grpc-lb.prot": "50051"}, {"grpc-lb.metrics": "on"}, {"grpc-lb.host": "a.b", "grpc-lb.hosts": "a.b"}]
)
def test_an_unknown_label_takes_no_route_where_none_hangs_on_it(labels: dict[str, str]) -> None:
    reading = read({"grpc-lb.enable": "true", **labels})

    assert reading.registration is not None
    assert len(reading.registration.routes) == 1
    assert "no route" not in messages(reading)[0]


@pytest.mark.parametrize(
    ("label", "nearest"),
    [
        ("grpc-lb.heath-check", "grpc-lb.health-check"),
        ("grpc-lb.heath-check.intervall", "grpc-lb.health-check.interval"),
        ("grpc-lb.Enabled", "grpc-lb.enable"),
        ("grpc-lb.grpc_services", "grpc-lb.grpc-services"),
        ("grpc-lb.route.slow.methods", "grpc-lb.routes.slow.methods"),
        ("grpc-lb.routes.slow.method", "grpc-lb.routes.slow.methods"),
        ("GRPC-LB.weight", "grpc-lb.weight"),
        ("grpc_lb.weight", "grpc-lb.weight"),
        (" grpclb.port", "grpc-lb.port"),
        ("GRPC-LB.Routes.slow.methods", "grpc-lb.routes.slow.methods"),
        ("grpc_lb.routes.slow.HOSTS", "grpc-lb.routes.slow.hosts"),
        ("grpc-lb.ratelimit", "grpc-lb.rate-limit.calls-per-second"),
    ],
)
def test_a_misspelt_label_gets_the_nearest_real_one_and_no_wrong_list(label: str, nearest: str) -> None:
    (message,) = messages(read({"grpc-lb.enable": "true", label: "1"}))

    assert f"({nearest}?)" in message
    assert ("one of the labels" in message) == (".routes." in label.lower())


@pytest.mark.parametrize(
    ("label", "value", "meant"),
    [
        ("grpc-lb.rate-limit", "5", "(grpc-lb.rate-limit.calls-per-second?)"),
        ("grpc-lb.rate-limit.average", "5", "grpc-lb.rate-limit.burst, got '5'"),
        ("grpc-lb.retry", "3", "(grpc-lb.retry.max-retries?)"),
        ("grpc-lb.retry", "UNAVAILABLE", "(grpc-lb.retry.on?)"),
        ("GRPC_LB.RETRY.MAX-RETRIES", "3", "(grpc-lb.retry.max-retries?)"),
        ("grpc-lb.deadline", "a while", "(grpc-lb.deadline.max?)"),
        ("grpc-lb.routes.slow.retry", "3", "(grpc-lb.routes.slow.retry.max-retries?)"),
        ("grpc-lb.routes", "slow", "must have a route's name of 1 to 63 of a-z, 0-9 and - after grpc-lb.routes."),
    ],
)
def test_a_label_without_its_last_part_is_told_the_one_that_takes_its_value(label: str, value: str, meant: str) -> None:
    (message,) = messages(read({"grpc-lb.enable": "true", label: value}))

    assert meant in message


def test_a_label_of_another_tool_that_is_only_named_alike_is_its_own() -> None:
    assert messages(read({"grpc-lb.enable": "true", "grpc_lb.colour": "blue", "grpclb": "x"})) == []


def test_a_label_that_none_is_near_is_told_where_they_all_are() -> None:
    (message,) = messages(read({"grpc-lb.enable": "true", "grpc-lb.colour": "blue"}))

    assert message.startswith("colour must be a label that exists (see docs/labels.md), got 'blue'")


def test_what_may_have_been_meant_is_sought_for_a_few_foreign_labels_alone() -> None:
    # GIVEN a container with a hundred unknown labels, WHEN they are read
    names._nearest.cache_clear()
    reading = read({"grpc-lb.enable": "true", **{f"grpc-lb.retry.{number}": "x" for number in range(100)}})
    # THEN each is told, and the search, which takes the time, was made for the first ones
    assert len(reading.errors) == 100
    assert names._nearest.cache_info().misses == MAX_SUGGESTIONS


def test_of_several_ports_one_must_be_named() -> None:
    without = read({"grpc-lb.enable": "true"}, mapped_ports=[8080, 50051])
    named = read({"grpc-lb.enable": "true", "grpc-lb.port": "8080"}, mapped_ports=[8080, 50051])

    assert without.registration is None
    assert messages(without) == [
        "port must be one of the mapped ports 8080, 50051, got '' (label grpc-lb.port of task family rng-family)"
    ]
    assert named.registration == Registration("rng", 8080)


@pytest.mark.parametrize("mapped_ports", [[], [0], [70_000]])
def test_a_container_without_a_mapped_port_is_told_so(mapped_ports: list[int]) -> None:
    (message,) = messages(read({"grpc-lb.enable": "true"}, mapped_ports=mapped_ports))

    assert "the container maps none (add a port mapping)" in message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"service": "No!"}, "service must be"),
        ({"port": 0}, r"port must be 1\.\.65535, got 0"),
        ({"hosts": ("a b",)}, "each of hosts must be a host name without a port"),
        (
            {"hosts": tuple(f"h{number}" for number in range(65))},
            "hosts times grpc-services must be at most 64, with methods and rules, got 65",
        ),
        ({"grpc_services": ("a/b",)}, "each of grpc-services must be a full gRPC service name"),
    ],
)
def test_a_registration_that_no_label_may_hold_is_refused(wrong: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"service": "rng", "port": 50051, **wrong}

    with pytest.raises(ValueError, match=message):
        Registration(**fields)  # type: ignore[arg-type]  # wrong on purpose


@given(
    st.dictionaries(st.sampled_from([*LABELS, "grpc-lb.x", "com.example"]), st.text()),
    st.lists(st.integers(-1, 70_000)),
    st.text(),
)
def test_no_label_crashes_the_reader_and_every_error_names_its_label(
    labels: dict[str, str], mapped_ports: list[int], default_service: str
) -> None:
    reading = read(labels, mapped_ports=mapped_ports, default_service=default_service)

    assert all(error.label in str(error) and "rng-family" in str(error) for error in reading.errors)
    if reading.registration is not None:
        assert reading.registration.port in mapped_ports


def test_what_a_list_says_twice_counts_once() -> None:
    """GIVEN more entries than there may be routes, most of them repeated, THEN none of them is refused."""
    reading = read({"grpc-lb.enable": "true", "grpc-lb.hosts": ",".join(["a", "b"] * 40)})

    assert reading.errors == ()
    assert reading.registration is not None
    assert reading.registration.hosts == ("a", "b")
