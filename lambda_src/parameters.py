"""SSM's parameters: listed and deleted as many at once as SSM takes, and written no faster than it allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lambda_src.clock import Clock
from lambda_src.token_bucket import TokenBucket, is_throttle

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# The most that GetParameters, GetParametersByPath and DeleteParameters take or give at once:
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
PER_CALL = 10

# https://docs.aws.amazon.com/general/latest/gr/ssm.html#limits_ssm
PUTS_PER_SECOND = 3
PUTS_AT_ONCE = 3

TOO_MANY_UPDATES = "TooManyUpdates"
"""SSM may answer this to concurrent writes, even of different parameters. Nothing was written then, and botocore does
not retry: https://github.com/hashicorp/terraform-provider-aws/issues/1082"""
PUT_ATTEMPTS = 3


def parameters_below(ssm: SSMClient, path: str) -> Iterator[tuple[str, str]]:
    """Their names and texts. Raises botocore's error."""
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=path, PaginationConfig={"PageSize": PER_CALL})
    for page in pages:
        yield from ((each["Name"], each["Value"]) for each in page["Parameters"])


def chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many names as one call takes."""
    for start in range(0, len(names), PER_CALL):
        yield names[start : start + PER_CALL]


class ParameterWriter:
    """Keeps to SSM's rate, and to less where others use up the account's share."""

    def __init__(self, ssm: SSMClient, clock: Clock) -> None:
        self._ssm = ssm
        self._clock = clock
        self._bucket = TokenBucket(PUTS_AT_ONCE, PUTS_PER_SECOND, clock.now)

    def wait(self) -> None:
        """Until the next write may be made."""
        while pause := self._bucket.pause():
            self._clock.sleep(pause)

    def put_now(self, name: str, text: str) -> None:
        """Write one parameter, after `wait`. Raises botocore's error."""
        for attempt in range(1, PUT_ATTEMPTS + 1):
            try:
                answer = self._ssm.put_parameter(Name=name, Value=text, Type="String", Tier="Standard", Overwrite=True)
            except ClientError as error:
                collided = error.response["Error"]["Code"] == TOO_MANY_UPDATES
                if collided:
                    self._bucket.collided()
                elif is_throttle(error):
                    self._bucket.throttled()
                if not collided or attempt == PUT_ATTEMPTS:
                    raise
                self.wait()
            else:
                self._bucket.answered(answer)
                return

    def put(self, name: str, text: str) -> None:
        """Write one parameter, when SSM's quota allows it. Raises botocore's error."""
        self.wait()
        self.put_now(name, text)
