# One entry for each thing a contributor does. Needs Python 3.11 or newer and git; everything else is fetched into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
export UV_CACHE_DIR ?= $(HOME)/.cache/uv

.PHONY: help setup demo test coverage lint audit test-api test-browser screenshots test-integration test-cluster image chart release version bench bench-peers soak study dashboards reference docs ui lock clean mutate-alerts

help:
	@echo "make setup             make .venv with everything locked in requirements.lock"
	@echo "make demo              the whole product on this machine, with a real model (ARGS=--once ends after the first success)"
	@echo "make test              the tests that need no server"
	@echo "make coverage          the same tests, with the branches of retrainer/ that they take: a line for each folder, and dist/coverage/index.html"
	@echo "make lint              ruff, mypy, import-linter"
	@echo "make audit             shellcheck, hadolint, checkov, deptry, codespell and pyroma, with their exceptions in deploy/audit (Go)"
	@echo "make test-api          schemathesis asks a running daemon everything that openapi.json describes (EXAMPLES=10 made-up requests of each operation; SEED=n)"
	@echo "make test-browser      journeys through the page in a real browser (chromium; Node 20.19 or newer)"
	@echo "make screenshots       write the pictures of the page in docs/how-to/pictures anew (chromium)"
	@echo "make test-integration  the tests on real Kafka, MinIO, PostgreSQL, SQS, SNS, S3, Prometheus and Alertmanager (Debian, Java 17, Maven, openssl, Go)"
	@echo "make test-cluster      the tests on a real Kubernetes with a real Argo controller, the chart and the image among them (root on Debian, Go, Java 17, Maven)"
	@echo "make image             build the image into dist/ (Docker, or buildah as root on Debian; BASE=debian needs no registry)"
	@echo "make chart             check the Helm chart: lint, its tests, kube-score, and what it renders against the schemas of Kubernetes and Argo (Go)"
	@echo "make version           write VERSION=0.2.0 everywhere, and begin its section of the changelog"
	@echo "make release           build wheel, sdist, chart, image, SBOMs, provenance and sums of this commit into dist/release (REPOSITORY=https://… KEY=key.pem BASE=…; root on Debian without Docker, Go)"
	@echo "make bench             measure, and write bench.json and the figures in the docs"
	@echo "make bench-peers       measure beside Argo Events, built from its Go module, on the cluster of tests/cluster/cluster.sh (root, Go)"
	@echo "make soak              everything at once with faults for MINUTES=60 on the cluster and servers, and the account of it; SEED=n repeats a run"
	@echo "make study             play a stream with drift to periodic, data and drift rules, with a real model; writes docs/concepts/study.md and its chart"
	@echo "make dashboards        write the Grafana dashboards of deploy/monitoring anew from their code"
	@echo "make mutate-alerts     change each part of each alert, one at a time: 95 of 100 changes must fail a test of deploy/monitoring/tests (promtool)"
	@echo "make reference         write the generated parts of docs/reference anew, and docs/reference/openapi.json"
	@echo "make docs              build the documentation as a site into dist/site; a link or an anchor that leads nowhere is an error"
	@echo "make ui                check, test and build the page of ui/ into retrainer/ui/static (Node 20.19 or newer)"
	@echo "make lock              resolve the dependencies anew into requirements.lock and requirements-runtime.lock"

setup: $(VENV)/.done

# pip puts the locked uv beside the interpreter, uv does the rest: hashes are checked for every package. Compiled once, as
# each start of a process would do it where Python may not write what it compiled: a second of its time.
$(VENV)/.done: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' requirements.lock)"
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m compileall -q retrainer
	@touch $@

demo: setup
	@$(BIN)/retrainer demo $(ARGS)

test: setup
	$(BIN)/python -m pytest -n 2 $(ARGS)

coverage: setup
	$(BIN)/python -m pytest -n 2 --cov --cov-report=html $(ARGS)
	@$(BIN)/python -m tests.coverage_by_folder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

EXAMPLES ?= 10
test-api: setup
	EXAMPLES=$(EXAMPLES) $(if $(SEED),SEED=$(SEED)) $(BIN)/python -m pytest tests/api $(ARGS)

test-browser: setup ui/node_modules/.package-lock.json
	$(BIN)/python -m pytest tests/browser $(ARGS)

screenshots: setup
	$(BIN)/python -m tests.browser.pictures

test-integration: setup
	tests/integration/run $(ARGS)

test-cluster: setup
	tests/cluster/run $(ARGS)

audit: setup
	deploy/audit/check

image:
	deploy/image/build

chart: setup
	deploy/helm/check

version: setup
	$(BIN)/python -m deploy.release.version $(VERSION)

release: setup
	deploy/helm/check tools
	$(BIN)/python -m deploy.release $(ARGS)

bench: setup
	$(BIN)/python -m tests.benchmarks $(ARGS)

bench-peers: setup
	$(BIN)/python -m tests.benchmarks --only peers-5 peers-load

MINUTES ?= 60
soak: setup
	tests/soak/run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

study: setup
	$(BIN)/python -m study --write $(ARGS)

dashboards: setup
	$(BIN)/python -m deploy.monitoring.dashboards

mutate-alerts: setup
	$(BIN)/python -m deploy.monitoring.mutation $(ARGS)

reference: setup
	$(BIN)/python -m deploy.site.generate
	$(BIN)/retrainer schema api > docs/reference/openapi.json

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file deploy/site/mkdocs.yml
	@echo "dist/site/index.html"

# npm writes this file when it is done.
ui/node_modules/.package-lock.json: ui/package.json ui/package-lock.json
	cd ui && npm ci --silent
	@touch $@

ui: ui/node_modules/.package-lock.json
	cd ui && npm run --silent types && npm run --silent check && npm run --silent test && npm run --silent build

LOCKED = --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate
COMPILE = $(BIN)/uv pip compile pyproject.toml $(LOCKED)

lock: setup
	$(COMPILE) --extra chart --extra tracing --group browser --group dev --group docs --group study -o requirements.lock
	$(COMPILE) --extra tracing --constraints requirements.lock -o requirements-runtime.lock
	$(BIN)/uv pip compile --group image $(LOCKED) -o requirements-image.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo
