# Copyright (c) 2026 pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
ROUNDS ?= 3
METHOD ?= route
JOBS ?= 2

# Every tool is the one in .venv, and what it would cache in the home directory stays in build/.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export XDG_CACHE_HOME := $(CURDIR)/build/cache
export PIP_CACHE_DIR := $(CURDIR)/build/cache/pip
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export ANSIBLE_HOME := $(CURDIR)/build/ansible
export MOLECULE_EPHEMERAL_DIRECTORY := $(CURDIR)/build/molecule
export MOLECULE_COMMAND_BORDERS := false

.PHONY: help venv demo demo-rollback demo-stop screenshot test lint bench bench-capture bench-lock bench-log soak

help: ## what can be typed here
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 22

venv: .venv/complete ## the virtual environment in .venv, made again when a requirement changes

demo: venv ## start the local stack and cut assets_1 over to PostgreSQL
	demo/run up-and-cutover

demo-rollback: venv ## bring assets_1 back to SQLite
	demo/run rollback

demo-stop: venv ## stop the local stack and remove what it made
	demo/run stop

screenshot: venv ## docs/images/report.png: the report of a demo of its own, in Chromium
	demo/screenshot

test: venv ## unit and integration tests, then the molecule scenarios (JOBS=2)
	pytest --numprocesses $(JOBS) --dist loadfile
	molecule test --all

lint: venv ## every check of the ecosystem, on the whole tree
	ansible-lint
	yamllint --strict .
	ruff check
	ruff format --check
	mypy
	shellcheck $$(git grep --untracked -lE '^#!/usr/bin/env bash' -- .ci demo tests)
	antsibull-changelog lint
	HOME="$(CURDIR)/build" antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=all --disallow-unknown-collection-refs .
	tests/sanity/run

bench: venv ## load 2.2 million rows, beside pgloader and psql: docs/benchmarks.md (ROUNDS=3)
	PYTHONPATH=tests:demo python -m benchmark --rounds $(ROUNDS)

soak: ROUNDS = 100
soak: venv ## cut over and back under load, again and again: build/soak.json, docs/benchmarks.md (ROUNDS=100 METHOD=route)
	PYTHONPATH=tests:demo python -m faults.soak --rounds $(ROUNDS) --method $(METHOD) $(if $(SEED),--seed $(SEED))

bench-capture: venv ## what capture costs an application that commits row by row in SQLite
	PYTHONPATH=tests python -m benchmark.capture

bench-lock: venv ## how long a switch holds its lock, in a small and in a large file
	PYTHONPATH=tests:demo python -m benchmark.lock_hold

bench-log: ROUNDS = 1
bench-log: venv ## how long a request log of 1 GB takes to read, and how much memory (ROUNDS=1)
	PYTHONPATH=tests python -m benchmark.request_log --rounds $(ROUNDS)

# The link makes sxops.pg_cutover importable by its full name: Ansible looks for collections in site-packages.
.venv/complete: requirements.txt requirements-managed-host.txt requirements-dev.txt demo/requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, as in: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	sxops="$$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections/sxops" && \
	  mkdir -p "$$sxops" && ln -sfn "$(CURDIR)" "$$sxops/pg_cutover"
	touch $@
