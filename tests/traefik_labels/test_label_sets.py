from __future__ import annotations

import pytest

from grpc_lb_contract import read_labels
from tests.traefik_labels.label_sets import ALL, Case
from traefik_labels import Container, translate, with_own


def container(case: Case) -> Container:
    return Container(case.labels, "app", "rng-service", "rng", case.ports)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.about[:60])
def test_each_set_of_labels_gives_what_the_table_says(case: Case) -> None:
    # WHEN a container with these labels is translated
    translation = translate(container(case), case.settings)
    read = with_own(case.labels, translation)
    # THEN the labels of ours are these
    ours = {name: value for name, value in read.items() if name.startswith("grpc-lb.")}
    if case.gives is None:
        assert ours.get("grpc-lb.enable", "false") == "false"
        assert ours.keys() <= {"grpc-lb.enable"}
    else:
        unsaid = {} if "grpc-lb.enable" in case.labels else {"grpc-lb.port": "50051"}
        assert ours == {"grpc-lb.enable": "true", **unsaid, **case.gives}
    # AND they are read without an error
    reading = read_labels(read, mapped_ports=case.ports, default_service="rng-service", family="rng")
    assert reading.errors == ()
    assert (reading.registration is None) is (case.gives is None)
    unsaid = {"grpc-lb.enable": "true", "grpc-lb.port": "50051"}
    assert [dict(other.labels) for other in translation.others] == [{**unsaid, **other} for other in case.others]
    # AND whatever is not applied as it stands is named, and nothing else
    said = [(remark.label.removeprefix("traefik."), remark.outcome, remark.why) for remark in translation.remarks]
    assert len(said) == len(case.remarks), said
    for label, outcome, words in case.remarks:
        assert [why for one, what, why in said if (one, what) == (label, outcome) and words in why], (label, said)


def test_the_table_is_as_long_as_promised() -> None:
    assert len(ALL) >= 60
    assert len({case.about for case in ALL}) == len(ALL)
