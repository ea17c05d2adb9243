#!/usr/bin/env bash
# The tests of the Lambda's code, under the Python that its runtime names. Exit code 3 where that Python is not here.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/.*Runtime\.PYTHON_3_\([0-9]*\).*/3.\1/p' cdk_grpc_lb/balancer/target_sync.py)
python=${LAMBDA_PYTHON:-$(command -v "python$version" || true)}
# A version manager's shim is there for versions that are not switched on.
if [[ -z $python ]] || ! "$python" -c "" 2>/dev/null; then
    echo "python$version is not on the PATH"
    exit 3
fi
environment=build/venv-lambda
uv=build/uv-venv/bin/uv
if [[ -x $uv ]]; then
    "$python" -m venv --clear --without-pip "$environment"
    "$uv" pip install --quiet --python "$environment/bin/python" --require-hashes --no-deps -r requirements/dev.txt
else
    "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
fi
exec "$environment/bin/python" -m pytest -p no:cacheprovider tests/lambda_src tests/grpc_lb_contract tests/traefik_labels
