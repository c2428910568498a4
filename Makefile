# Each target makes the machine ready first, and may be repeated: what is there already is not made again.
.PHONY: demo test faults abuse bench check format diagrams setup ready lock clean

demo: ready # run real programs and watch them
	.venv/bin/python scripts/demo.py

test: ready # run the tests, but for the long form of the fault suite, which is `make faults`; ARGS are pytest's, such as ARGS="-k cancel -x"
	.venv/bin/python -m scripts.image python
	.venv/bin/python -m pytest $(if $(CI),-p scripts.no_skips) $(ARGS)

abuse: ready # every hostile program; makes docs/isolation.md
	.venv/bin/python -m scripts.image python
	ABUSE_PAGE=$(CURDIR)/docs/isolation.md .venv/bin/python -m pytest tests/abuse $(ARGS)

faults: ready # the fault suite in full, DURATION seconds for each random loop; makes docs/reliability.md
	@mkdir -p .orchestrator && rm -f .orchestrator/faults.jsonl
	FAULT_LONG=1 DURATION=$(or $(DURATION),300) FAULT_RESULTS=$(CURDIR)/.orchestrator/faults.jsonl \
		.venv/bin/python -m pytest tests/faults $(ARGS)
	.venv/bin/python -m scripts.reliability .orchestrator/faults.jsonl docs/reliability.md

bench: ready # what the worker costs on top of the container, both sides measured in one run
	.venv/bin/python -m scripts.bench

check: setup # everything that can be said without running the worker
	.venv/bin/python -m pip --disable-pip-version-check check
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m scripts.generate --check

format: setup
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

diagrams: setup # make the files anew that are made from the code: diagrams, tables, task.schema.json
	.venv/bin/python -m scripts.generate

setup: # .venv as the lock says
	@scripts/setup

ready: setup # also what the embedded servers need, a Docker engine and the image that tasks run in
	@.venv/bin/python -m scripts.database
	@.venv/bin/python -m scripts.engine
	@.venv/bin/python -m scripts.image busybox

lock: setup # the locks anew from pyproject.toml; ARGS=--upgrade for the newest versions
	scripts/lock $(ARGS)

clean: # remove what make made here; the engine, its images and the data in .orchestrator/ stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
