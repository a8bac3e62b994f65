# Thin over deploy/up.py, which needs nothing but Python 3.11 and Node 20.
PYTHON ?= python3
UP := $(PYTHON) deploy/up.py
export SERVE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-deep check format measure clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything into .venv and node_modules; does nothing twice
	@$(UP) setup

demo: ## trips end to end on real positions, then the portals (SERVE=0 ends after the story)
	@$(UP) demo

test: ## every test: Foundry and pytest
	@$(UP) test

test-deep: ## the long runs as well
	@$(UP) test-deep

check: ## format, lint, types, layers, secrets, bindings and migrations up to date
	@$(UP) check

format: setup ## put every file into its format
	@.venv/bin/ruff format -q . && .venv/bin/ruff check -q --fix . ; \
	"$$($(PYTHON) -c 'import sys; sys.path.insert(0, "deploy"); import up; print(up.foundry("forge"))')" fmt

measure: ## lines a file (median, 90 %, largest) beside the codebases we learn from
	@git ls-files '*.py' '*.sol' | grep -v '^chain/bindings/' | xargs wc -l | grep -v ' total$$' | sort -n | \
	awk '{n[NR]=$$1; f[NR]=$$2} END {printf "files %d  median %d  90%% %d  largest %d (%s)\n", \
	NR, n[int((NR+1)/2)], n[int(NR*0.9)], n[NR], f[NR]}'
	@echo "peers (median / 90 % / largest): Morpho 45/150/555, Centrifuge 65/273/1000, cosmicpython 41/86/120"

clean: ## forget what a run left (var, out, cache); packages stay
	@rm -rf var out cache
