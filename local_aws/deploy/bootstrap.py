"""The stack that `cdk bootstrap` makes, in one request and without the CLI, whose start is most of what that takes."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from local_aws.errors import LocalAwsError

STACK = "CDKToolkit"
ANSWER_SECONDS = 60.0


def bootstrap(endpoint: str, region: str, template: Path) -> None:
    """Returns once all of the CLI's own template is there. Raises LocalAwsError."""
    fields = {"TemplateBody": template.read_text(), "Capabilities.member.1": "CAPABILITY_NAMED_IAM"}
    _ask(endpoint, region, "CreateStack", fields)
    status = "CREATE_IN_PROGRESS"
    while status == "CREATE_IN_PROGRESS":  # it is told when it has ended, or after seconds
        found = re.search("<StackStatus>(.*?)</StackStatus>", _ask(endpoint, region, "DescribeStacks", {}))
        status = found.group(1) if found else "no status"
    if status != "CREATE_COMPLETE":
        raise LocalAwsError(f"stack {STACK} must become CREATE_COMPLETE, got {status}")


def _ask(endpoint: str, region: str, action: str, fields: dict[str, str]) -> str:
    body = urllib.parse.urlencode({"Action": action, "Version": "2010-05-15", "StackName": STACK, **fields})
    # The local AWS reads the service from the signature's scope, and checks no signature.
    scope = f"test/20000101/{region}/cloudformation/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"}
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with straight.open(
            urllib.request.Request(endpoint, body.encode(), signed),  # noqa: S310 - an http address of ours
            timeout=ANSWER_SECONDS,
        ) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        raise LocalAwsError(f"{action} of {STACK} must succeed, got {error.read().decode()}") from error
