"""What is looked at once all is made, at synth."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import jsii
from constructs import IConstruct, IValidation

Check = Callable[[], list[str]]

_OF_CONSTRUCT: WeakKeyDictionary[IConstruct, list[Check]] = WeakKeyDictionary()


def check_at_synth(construct: IConstruct, check: Check) -> None:
    """Have synth fail with the errors that the check returns, which may add warnings too.

    All checks of a construct are one validation to the CDK, whose Node is called to add it and calls back for it.
    """
    checks = _OF_CONSTRUCT.get(construct)
    if checks is None:
        checks = _OF_CONSTRUCT[construct] = []
        construct.node.add_validation(_Checks(checks))
    checks.append(check)


@jsii.implements(IValidation)
class _Checks:
    def __init__(self, checks: list[Check]) -> None:
        self._checks = checks

    def validate(self) -> list[str]:
        return [error for check in self._checks for error in check()]
