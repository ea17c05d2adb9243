from __future__ import annotations

from rng_service import generate


def test_given_the_proto_when_its_code_is_made_anew_then_it_is_the_code_that_is_committed() -> None:
    for path, text in generate.generate().items():
        assert (generate.ROOT / path).read_text() == text, f"{path} is not current: python -m rng_service.generate"


def test_given_the_proto_when_its_code_is_made_then_nothing_else_that_is_generated_lies_beside_it() -> None:
    folder = (generate.ROOT / generate.PROTO).parent
    assert {path.relative_to(generate.ROOT) for path in folder.glob("*_pb2*.py*")} == set(generate.generate())
