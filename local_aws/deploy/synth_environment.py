"""What an app is synthesised in here, by the CDK CLI or without it."""

from __future__ import annotations

import os

from local_aws.layout import Layout

# aws-cdk-lib's check against CloudFormation's schema only warns, and is half the time of a synth: it is for those who
# deploy to AWS.
UNCHECKED = {"CDK_VALIDATION": "false"}


def synth_environment(layout: Layout) -> dict[str, str]:
    return {
        **UNCHECKED,
        "PATH": f"{layout.venv}:{os.environ.get('PATH', os.defpath)}",  # its Node, whatever the machine has
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(layout.bytecode),
    }
