"""SSM's parameters as texts: botocore at the edge, in threads, its own retries off because the poll is the retry."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.session import get_session

from proxy_image.control_plane.sources.sink import Trouble, WrongSettingError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
MAX_NAMES_PER_CALL = 10

CONNECT_TIMEOUT_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 2.0


class ReadFailedError(Exception):
    """SSM gave no answer, or refused."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


class Parameters(Protocol):
    """Both raise `ReadFailedError`."""

    async def get(self, name: str) -> str | None:
        """The parameter's text, None where there is no such parameter."""

    async def get_many(self, names: Sequence[str]) -> Mapping[str, str]:
        """The texts of those that are there."""


class SsmParameters:
    def __init__(self, client: SSMClient) -> None:
        self._client = client

    async def get(self, name: str) -> str | None:
        try:
            answer = await asyncio.to_thread(self._client.get_parameter, Name=name)
        except self._client.exceptions.ParameterNotFound:
            return None
        except (BotoCoreError, ClientError) as error:
            raise read_failed(error) from error
        return answer["Parameter"]["Value"]

    async def get_many(self, names: Sequence[str]) -> Mapping[str, str]:
        texts: dict[str, str] = {}
        for start in range(0, len(names), MAX_NAMES_PER_CALL):
            some = list(names[start : start + MAX_NAMES_PER_CALL])
            try:
                answer = await asyncio.to_thread(self._client.get_parameters, Names=some)
            except (BotoCoreError, ClientError) as error:
                raise read_failed(error) from error
            texts.update({parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]})
        return texts


def ssm_parameters() -> SsmParameters:
    """Parameters of the region and endpoint that the environment names. Raises `WrongSettingError`.

    Removes empty AWS_… variables from the environment: they are as good as none, as with the balancer's own settings,
    and botocore would take them for values.
    """
    for name in [name for name, value in os.environ.items() if name.startswith("AWS_") and not value.strip()]:
        del os.environ[name]
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1},
        tcp_keepalive=True,
    )
    try:
        # botocore reads AWS_DEFAULT_REGION alone, ECS and every other SDK set or read AWS_REGION.
        session, region = get_session(), os.environ.get("AWS_REGION")
        return SsmParameters(cast("SSMClient", session.create_client("ssm", config=config, region_name=region)))
    except NoRegionError:
        raise WrongSettingError(
            "AWS_REGION is missing: set it to the region of the parameters, such as eu-central-1"
        ) from None
    except (BotoCoreError, ValueError) as error:
        # Without their values, of which some are secrets. botocore reads its files too, where none names them.
        given = [name for name in sorted(os.environ) if name.startswith("AWS_")]
        where = ", ".join([*given, "or a file that AWS's SDKs read" if given else "a file that AWS's SDKs read"])
        raise WrongSettingError(f"the AWS settings cannot be used: {error} (look at {where})") from None


_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}


def read_failed(error: BotoCoreError | ClientError) -> ReadFailedError:
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _THROTTLED or status == 429:
            return ReadFailedError(Trouble.THROTTLED, str(error))
        return ReadFailedError(Trouble.UNREACHABLE if status >= 500 else Trouble.DENIED, str(error))
    return ReadFailedError(Trouble.DENIED if isinstance(error, NoCredentialsError) else Trouble.UNREACHABLE, str(error))
