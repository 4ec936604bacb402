# Everything here only calls scripts/setup and the reki command; both can be run without make.
.POSIX:
.PHONY: help setup demo test check lint up down status clean lock

help:
	@echo "make demo    the whole walk on real data, from a fresh clone"
	@echo "make test    every test, with real services on this machine"
	@echo "make check   lint, types and unit tests, without services"
	@echo "make up      the local stack; make status, make down"
	@echo "make clean   remove what make up, demo and test left (not the environments and caches)"

setup:
	@sh scripts/setup

demo: setup
	@.venv/bin/reki demo

test: setup
	@.venv/bin/pytest

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

check: lint
	@.venv/bin/pytest -q -m "not services and not slow"

up: setup
	@.venv/bin/reki up

down:
	@.venv/bin/reki down

status:
	@.venv/bin/reki status

clean:
	@if [ -x .venv/bin/reki ]; then .venv/bin/reki down; fi
	rm -rf .reki/run .reki/logs .reki/data .reki/demo .reki/ports.json .pytest_cache .mypy_cache .ruff_cache .hypothesis

lock:
	@sh scripts/lock
