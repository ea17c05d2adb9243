from __future__ import annotations

import string
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from grpc_lb_contract import read_labels
from tests.traefik_labels.expressions import RULES
from tests.traefik_labels.label_sets import ALL
from traefik_labels import Container, TraefikLabels, in_their_words, translate, with_own

NAMES = sorted({name for case in ALL for name in case.labels if name.startswith("traefik.")})
VALUES = sorted({value for case in ALL for value in case.labels.values()})
TEXT = st.text(alphabet=string.printable + "é`", max_size=30)
NAME = st.one_of(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map("".join), TEXT)
VALUE = st.one_of(st.sampled_from(VALUES), TEXT, RULES.map(str))


@settings(max_examples=2 * settings().max_examples)
@given(st.dictionaries(NAME, VALUE, max_size=8), st.lists(st.integers(0, 70_000), max_size=3))
def test_whatever_labels_say_nothing_breaks_and_errors_name_labels_that_are_there(
    labels: dict[str, str], ports: list[int]
) -> None:
    # WHEN labels by chance are translated, with the switch that makes most of them matter
    labels = {"traefik.protocol": "h2c", **labels}
    translation = translate(Container(labels, "app", "rng", "rng", tuple(ports)), TraefikLabels())
    reading = read_labels(with_own(labels, translation), mapped_ports=ports, default_service="rng", family="rng")
    # THEN what is wrong is told of a label that is Traefik's, or that the owner wrote
    for error in reading.errors:
        said = in_their_words(error, labels, translation)
        assert said.label in labels or said.label.startswith("traefik.")
    for remark in translation.remarks:
        assert remark.label in labels or (remark.label.startswith("traefik.") and not remark.value)
        assert remark.why


@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUE), max_size=6, unique_by=lambda pair: pair[0]), st.randoms())
def test_the_order_of_labels_makes_no_difference(labels: list[tuple[str, str]], random: Random) -> None:
    labels = list({**dict(labels), "traefik.http.services.rng.loadbalancer.server.scheme": "h2c"}.items())
    first = translate(Container(dict(labels), ports=(1,)), TraefikLabels())
    random.shuffle(labels)
    assert translate(Container(dict(labels), ports=(1,)), TraefikLabels()) == first


@given(st.dictionaries(NAME, VALUE, max_size=4))
def test_a_container_without_labels_of_traefik_is_left_as_it_is(labels: dict[str, str]) -> None:
    others = {name: value for name, value in labels.items() if not name.lower().startswith("traefik.")}
    translation = translate(Container(others, ports=(1,)), TraefikLabels())
    assert (with_own(others, translation), translation.remarks) == (others, ())
