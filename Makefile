# The two commands of a newcomer: `make sweep` and `make test`. Both install into .venv first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DOCS_STAMP := $(VENV)/.documented
STAMP := $(VENV)/.installed
CHECK_STAMP := $(VENV)/.checked
# Many tests start impray anew: what is compiled once is kept, whatever the caller has set.
test slow-test faults cluster-test fuzz: export PYTHONDONTWRITEBYTECODE =

# Of the tests: much of their time they wait, for Rays, servers and faults, so three of them keep two cores busy.
WORKERS ?= 3

.PHONY: install sweep test slow-test faults cluster-test fuzz check docs pages lock

install: $(STAMP)

# torch first and by itself, at the pinned version: no later resolution may bring another build of it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

$(CHECK_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[check]'
	touch $@

sweep: install
	$(BIN)/impray sweep

test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow"

# The heavier ones that `make test` leaves out: sweeps that are killed in the middle, on schedulers, buckets and clusters. One by one to whoever
# is free, as some of their files take many minutes.
slow-test: install
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow

# Sweeps that are hit at a moment drawn by a seed: N of them, from seed FROM on. Of the kinds, those of disks need root.
faults: N ?= 20
faults: FROM ?= 0
faults: install
	FAULTS=$(N) FAULTS_FROM=$(FROM) $(BIN)/python -m pytest tests/faults -m slow -n 2 --durations=0

# Three isolated hosts on this machine, `ray up`, a sweep, a host that dies. Needs root, iproute2, util-linux, openssh-server, rsync.
cluster-test: install
	$(BIN)/python -m pytest tests/cluster -m cluster

# Sweeps and data files that are nearly right, N of each; SEED chooses which.
fuzz: N ?= 5000
fuzz: SEED ?= 1
fuzz: install
	IMPRAY_FUZZ=$(N) IMPRAY_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/fuzz -k "nearly_right or damaged_files"

check: $(CHECK_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

# docs/ as a site with search, in build/site.
docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file docs/make/site.yml
	@echo "built: build/site/index.html; with search: $(BIN)/python -m http.server --bind 127.0.0.1 -d build/site"

# Pages and pictures that are made from the code; `python -m docs.make findings FOLDER...` makes the tables of findings.
pages: install
	$(BIN)/python -m docs.make

# Pins what is installed now, after an upgrade by hand: plain name==version, local suffixes (+cpu) removed.
lock: $(CHECK_STAMP) $(DOCS_STAMP)
	$(BIN)/python -m pip freeze --exclude-editable --disable-pip-version-check | sed -E 's/\+[A-Za-z0-9.]+$$//' | LC_ALL=C sort -f > constraints.txt
