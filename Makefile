# Each target makes the machine ready first, and may be repeated: what is there already is not made again.
.PHONY: help demo test unit faults abuse programs bench bench-follow bench-lists bench-deletion bench-server machines machine disk test-on short-on fresh-on machines-test machines-down \
	check format diagrams handover docs setup page screenshots ready parts lock clean

MACHINE = trixie
SHORT = tests/contract/engine/test_verdicts.py tests/contract/engine/test_engine_counts.py tests/contract/engine/test_engine_out.py \
	tests/contract/engine/test_doctor_isolation.py \
	$(addprefix tests/hosts/test_slices.py::test_, nothing_of_a_container_is_left a_worker_that_may_not_stop_slices_uses_one_again \
		a_worker_in_a_container_gets_the_same_with_the_bus_and_the_hosts_groups) \
	tests/acceptance/test_tasks.py::test_every_ending_is_stored_and_announced_alike \
	tests/acceptance/test_artifacts.py::test_files_are_stored_whole_and_nothing_is_left

help: # the targets, which is what `make` alone prints
	@awk -F ': [^#]*# |: # ' '/^[a-z-]+: .*#/ { printf "%-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ready # run real programs and watch them
	.venv/bin/python scripts/demo.py

test: parts # run the tests, but for the long form of the fault suite, which is `make faults`; ARGS are pytest's, such as ARGS="-k cancel -x"
	.venv/bin/python -m scripts.run_tests $(ARGS)

parts: ready # what only the tests need
	.venv/bin/python -m scripts.image python
	.venv/bin/python -m scripts.monitoring

unit: setup # the tests that need no engine and no server, in about a minute; ARGS as for `make test`
	.venv/bin/python -m pytest $(if $(findstring tests/,$(ARGS)),,tests/unit tests/model --ignore=tests/unit/embedded) $(ARGS)

abuse: ready # every hostile program; makes docs/isolation.md
	.venv/bin/python -m scripts.image python
	ABUSE_PAGE=$(CURDIR)/docs/isolation.md .venv/bin/python -m pytest tests/abuse $(ARGS)

programs: ready # programs in many languages, with docker run and as tasks; makes docs/programs.md; ARGS="perl go" only prints these
	@.venv/bin/python -m scripts.image python
	.venv/bin/python -m scripts.programs $(ARGS)

faults: ready # the fault suite in full, DURATION seconds for each random loop; makes docs/reliability.md
	@mkdir -p .orchestrator && rm -f .orchestrator/faults.jsonl
	FAULT_LONG=1 DURATION=$(or $(DURATION),300) FAULT_RESULTS=$(CURDIR)/.orchestrator/faults.jsonl \
		.venv/bin/python -m pytest tests/faults tests/acceptance/test_serve.py $(ARGS)
	.venv/bin/python -m scripts.reliability .orchestrator/faults.jsonl docs/reliability.md

bench: ready # what the worker costs on top of the container, both sides measured in one run
	.venv/bin/python -m scripts.bench
	.venv/bin/python -m scripts.bench_output

bench-follow: ready # how soon output is seen, and what that costs, both sides measured in one run
	.venv/bin/python -m scripts.bench_follow

bench-lists: ready # how long lists take with 100, 10,000 and 100,000 tasks, beside one query with a sort
	.venv/bin/python -m scripts.bench_lists

bench-deletion: ready # how fast ended tasks are deleted, by whether their objects are listed, named or gone; ARGS: batches of each
	.venv/bin/python -m scripts.bench_deletion $(ARGS)

bench-server: ready # submits by HTTP, how soon viewers hear, what 1,000 of them cost, the start of the command line
	.venv/bin/python -m scripts.bench_server

machines: ready # real Debian machines for the tests, all three: built, booted and left running; `make machines-down` ends them
	.venv/bin/python -m scripts.image python
	.venv/bin/python -m scripts.machines up bookworm trixie forky

disk: ready # make what a machine boots from, and boot it once: MACHINE=bookworm, trixie or forky; minutes, then kept
	.venv/bin/python -m scripts.image python
	.venv/bin/python -m scripts.machines build $(MACHINE)

machine: ready # one of them: MACHINE=bookworm, trixie or forky
	.venv/bin/python -m scripts.image python
	.venv/bin/python -m scripts.machines up $(MACHINE)

test-on: ready # run tests on a machine: ARGS are pytest's, or CMD="…" is any command; MACHINE=host is this host
	@.venv/bin/python -m scripts.image python
	.venv/bin/python -m scripts.machines $(if $(CMD),run $(MACHINE) -- "$$CMD",test $(MACHINE) -- $(ARGS))

short-on: ready # the short form that CI runs on the newest machine: verdicts, figures, /out, doctor, tasks through a worker
	@$(MAKE) --no-print-directory test-on MACHINE=$(MACHINE) ARGS='$(SHORT)'

fresh-on: ready # a bare Debian machine with a network: clone what is committed, run the README's commands; or TARGETS=demo
	.venv/bin/python -m scripts.machines fresh $(MACHINE) -- $(TARGETS)

machines-test: parts # the long form on all of them, hours; makes docs/hosts.md; PARTS="contract abuse" HOSTS=trixie runs only these, RESUME=1 goes on
	.venv/bin/python -m scripts.image python
	TARGETS="$(TARGETS)" RESUME="$(RESUME)" HOSTS="$(HOSTS)" .venv/bin/python -m scripts.machines_test $(PARTS)

machines-down: setup # end this checkout's machines; their disks stay for the next time
	.venv/bin/python -m scripts.machines down

check: setup # everything that can be said without running the worker
	.venv/bin/python -m pip --disable-pip-version-check check
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m scripts.plain
	.venv/bin/python -m scripts.generate --check

format: setup # let ruff mend what it can
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

diagrams: setup # make the files again that are made from the code: diagrams, tables, task.schema.json
	.venv/bin/python -m scripts.generate

handover: setup # compile the program of waiting containers again after a change of it; needs zig, as from `pip install ziglang`
	.venv/bin/python -m scripts.handover

docs: setup # the docs site, build/site/index.html, to read without a network; stops at a link that leads nowhere
	.venv/bin/python -m scripts.docs_site

setup: # .venv as the lock says, and the web page
	@scripts/setup
	@.venv/bin/python -m scripts.page

page: setup # build the web page again when its sources have changed, which `make setup` does too

screenshots: ready # make the pictures of the page again that docs/ has
	.venv/bin/python -m scripts.screenshots

ready: setup # also what the embedded servers need, a Docker engine and the image that tasks run in
	@.venv/bin/python -m scripts.database
	@.venv/bin/python -m scripts.engine
	@.venv/bin/python -m scripts.image busybox
	@.venv/bin/python -m scripts.browser

lock: setup # the locks again from pyproject.toml; ARGS=--upgrade for the newest versions
	scripts/lock $(ARGS)

clean: # remove what make made here; the engine, its images and the data in .orchestrator/ stay
	rm -rf .venv web/node_modules web/.tests tests/node_client/node_modules orchestrator/server/page build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
