"""IAM's evaluation of policies, by ministack's evaluator: deny over allow, wildcards, every condition operator.

It runs in ministack's own environment, either inside the stand-in, or as a process that answers a line with a line:
python -m local_aws.behaviour.evaluator
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from local_aws.behaviour.permissions import Needed, Place


def is_allowed(policies: Iterable[str], question: Needed, place: Place) -> bool:
    """`policies` are the documents, as JSON, of one role."""
    return is_allowed_by([_parsed(policy) for policy in policies], question, place)


def is_allowed_by(policies: Iterable[list[Any]], question: Needed, place: Place) -> bool:
    """The same with policies as ministack reads them."""
    from ministack.core.iam_evaluator import EvalContext, evaluate

    context = EvalContext(
        principal_arn=place.arn("sts", "assumed-role/role/session").replace(f":{place.region}:", "::"),
        principal_type="AssumedRole",
        principal_account=place.account,
        action=question.action,
        resource_arn=question.resource,
        region=place.region,
        service_context={name.lower(): value for name, value in question.context},
    )
    return bool(evaluate(context, list(policies)).decision == "Allow")


@lru_cache(maxsize=256)
def _parsed(policy: str) -> list[Any]:
    from ministack.core.iam_evaluator import parse_policy_document

    return list(parse_policy_document(policy))


def answer(request: Mapping[str, Any]) -> bool:
    question = Needed(request["action"], request["resource"], tuple(map(tuple, request["context"])))
    return is_allowed(request["policies"], question, Place(**request["place"]))


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
