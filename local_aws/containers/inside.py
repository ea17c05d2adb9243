"""The first process of our namespaces: python -m local_aws.containers.inside build|run COMMAND ..."""

from __future__ import annotations

import os
import sys

from local_aws.containers.namespaces import prepare_build, prepare_run, run_as_first_process
from local_aws.errors import LocalAwsError


def main() -> int:
    kind, *command = sys.argv[1:]
    try:
        if kind == "run":
            prepare_run()
        else:
            prepare_build()
    except LocalAwsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return run_as_first_process(command, os.environ)


if __name__ == "__main__":
    sys.exit(main())
