PYTHON ?= python3
BIN := build/venv/bin
# Every process reads what another has compiled, and nothing is put beside the sources: most of a short process is that.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/build/bytecode
# Where the user has no home to write to, as in some containers, what keeps a cache there keeps it in build/.
ifneq ($(shell test -d "$$HOME" -a -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/build/home
endif
# Most tests wait for processes they started, so more run at once than there are cores.
TEST_JOBS ?= $(shell $(PYTHON) -c "import os; print(min(2 * (os.cpu_count() or 1) + 1, 9))")
SIDE_BY_SIDE = --numprocesses $(TEST_JOBS) --dist loadgroup --durations 15 --durations-min 5
IN_BROWSER = $(sort $(wildcard tests/*/*_in_chromium.py))

.PHONY: help setup setup-to-run demo picture containers up down test test-long traefik browser screenshots bench lint types docs docs-serve wheel \
	release-check wheel-ends lambda-python lock clean

help:     ## say what each target does
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22
setup:    ## make the environments, Node and the CDK CLI under build/
	@$(PYTHON) dev/set_up.py
# What runs the stack needs less than what tests it.
setup-to-run:
	@$(PYTHON) dev/set_up.py --to-run
demo: setup-to-run  ## show the problem and its cure on this machine: 100 / 0 becomes 50 / 50
	@$(BIN)/python -m local_aws demo
picture: demo  ## docs/pictures/calls.svg, of what make demo measured
	@$(BIN)/python dev/make_picture.py
containers: setup  ## build the images with podman, and the demo with tasks as containers (Linux, root)
	@$(BIN)/python -m local_aws.containers
up: setup-to-run  ## start the whole stack on this machine and stay
	@$(BIN)/python -m local_aws up
down: setup-to-run  ## stop what `make up` started, also after a crash
	@$(BIN)/python -m local_aws down
test: setup  ## all tests but the long ones, side by side; make test T=tests/…::name runs one; BROWSER=yes: those of make browser too
	@$(BIN)/python -m pytest $(if $(T),$(T),$(SIDE_BY_SIDE) $(if $(BROWSER),-o "python_files=test_*.py *_in_chromium.py"))
test-long: setup  ## the long tests: what `make test` tries, with many more random examples
	@$(BIN)/python -m pytest --long $(SIDE_BY_SIDE)
traefik: setup  ## all label sets before a real Traefik and this balancer, and more by chance
	@$(BIN)/python -m tests.traefik_labels.judge
browser: setup  ## the web page, and gRPC-Web, in a headless Chromium (needs chromium)
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(IN_BROWSER)
screenshots: setup  ## the pictures in docs/pictures, of the page beside the whole local stack (needs chromium)
	@SCREENSHOTS=docs/pictures $(BIN)/python -m pytest tests/end_to_end/stack_in_chromium.py tests/browser/trouble_in_chromium.py
bench:    ## this balancer beside its peers: CPU a call, latency, throughput (QUICK=yes, WRITE=yes for docs/benchmark.md)
	@$(PYTHON) dev/set_up.py peers
	@PYTHONPATH=benchmarks:. $(BIN)/python -m peers $(if $(QUICK),--quick) $(if $(WRITE),--write)
lint: setup  ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
types: setup ## mypy --strict, of everything, of each example and of the apps of docs/apps.md; pyright of these and of the wheel
	@$(BIN)/mypy . && $(BIN)/python -m tests.apps.pages build/apps && for app in examples/*/ build/apps/; do (cd $$app && echo $$app && \
		MYPYPATH="$(CURDIR)" "$(CURDIR)/$(BIN)/mypy" --config-file "$(CURDIR)/pyproject.toml" --cache-dir "$(CURDIR)/.mypy_cache" .) || exit 1; done
	@$(BIN)/python -m pytest -q -p no:cacheprovider $(wildcard tests/*/types_of_*.py)
docs: setup  ## write docs/api.md and the tables of docs/labels.md and docs/traefik.md, and build the documentation site into build/site
	@$(BIN)/python dev/make_api.py
	@$(PYTHON) dev/set_up.py publish
	@NO_MKDOCS_2_WARNING=1 build/publish-venv/bin/mkdocs build --quiet
docs-serve: docs ## show the documentation site, and follow changes
	@NO_MKDOCS_2_WARNING=1 build/publish-venv/bin/mkdocs serve
wheel: setup ## build the sdist and the wheel into dist/
	@$(BIN)/python -m hatchling build
release-check: wheel ## build the package, and check what PyPI will show of it
	@$(PYTHON) dev/set_up.py publish
	@build/publish-venv/bin/twine check --strict dist/*
wheel-ends: setup  ## try the wheel with the lowest and the newest aws-cdk-lib that it allows
	@$(BIN)/python -m tests.wheel.ends
lambda-python:  ## the Lambda's tests under the Python that its runtime names (needs that Python)
	@dev/lambda_python.sh
lock:     ## compile every requirements .in file into a hashed .txt (needs uv)
	@./dev/lock.sh
clean:    ## remove build/
	@rm -rf build
