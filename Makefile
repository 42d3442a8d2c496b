# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# The site is built without lowmem and what it needs.
DOCS_VENV ?= .venv-docs
DOCS_STAMP := $(DOCS_VENV)/.installed
DEMO   ?= lowmem-work

.PHONY: demo test browser matrix matrix-short check format docs reference wheel clean
.DELETE_ON_ERROR:

# Installed again only when the dependencies change.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "lowmem needs Python 3.11 to 3.13, found $$($(PYTHON) -V). Set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable '.[tensorflow]' --group dev
	@touch $@

demo: $(STAMP)
	$(BIN)/lowmem run all --workspace $(DEMO) --ram-budget 2G
	$(BIN)/lowmem report $(DEMO)
	@echo "Report page: $(abspath $(DEMO))/report.html"

test: $(STAMP)
	$(BIN)/python -m pytest -m "not alone" --numprocesses=2 --dist=loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -m alone

# The report page and the site in a Chromium that must be there; pictures to look at in
# build/pages.
browser: $(STAMP) docs
	$(BIN)/python -m pip install --quiet --group browser
	$(BIN)/python -m pytest tests/browser

# Every supported environment, and docs/support.md from what was found.
matrix: $(STAMP)
	$(BIN)/nox
	$(BIN)/nox --session across support

# Colab's newest in short, for CI; says so where Python 3.13 is missing.
matrix-short: $(STAMP)
	$(BIN)/nox --session colab

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(DOCS_STAMP): pyproject.toml
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(DOCS_VENV)/bin/python -m pip install --quiet --group docs
	@touch $@

# Every warning is an error, and so is a page that would load anything from elsewhere, or
# has a definition list without terms.
docs: $(DOCS_STAMP)
	rm -rf build/site
	$(DOCS_VENV)/bin/python -m sphinx --quiet --fail-on-warning --fresh-env \
	  --conf-dir docs/site --doctree-dir build/doctrees docs build/site
	$(DOCS_VENV)/bin/python -m docs.site.outside build/site
	$(DOCS_VENV)/bin/python -m docs.site.definition_lists build/site
	@echo "Front page: $(abspath build/site)/index.html"

# The pages of docs/reference that follow from the code.
reference: $(STAMP)
	$(BIN)/python -m docs.site.reference

wheel: $(STAMP)
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) $(DOCS_VENV) dist build
