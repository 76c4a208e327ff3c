# One command for each habit. Each target installs what it needs into .venv.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: install demo test test-all check mutation bench docs lock clean engines spark

.venv/installed: requirements/dev.lock pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

install: .venv/installed            ## set-up alone: ends in .venv/bin/lefi

demo: .venv/installed               ## the main job: a population, three nights, every partner's picture
	$(BIN)/python -m jobs.demo demo

test: .venv/installed               ## the tests, at most 10 minutes
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not slow"

test-all: .venv/installed .venv/spark .venv-duckdb/installed engines   ## what is longer, too: about an hour and a half
	$(BIN)/pytest -q -n 2 --dist loadfile -rs --durations=20 --ignore=tests/engines
	$(BIN)/pytest -q -rs --durations=10 tests/engines
	$(MAKE) faults docs

check: .venv/installed              ## ruff, mypy strict, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_house.py

spark: .venv/spark                  ## what the Spark jobs need: PySpark, and Delta's and Avro's jars

.venv/spark: .venv/installed requirements/spark.lock jobs/spark/pom.xml jobs/spark/jars.sha256
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/spark.lock
	rm -rf jobs/spark/jars
	mvn -q -B -f jobs/spark/pom.xml dependency:copy-dependencies -DoutputDirectory=jars
	cd jobs/spark/jars && sha256sum --check --quiet ../jars.sha256
	touch $@

.venv-duckdb/installed: requirements/duckdb.lock   # of one version of DuckDB, for which its avro extension is packaged
	test -x .venv-duckdb/bin/python || $(PYTHON) -m venv .venv-duckdb
	.venv-duckdb/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/duckdb.lock
	touch $@

mutation: .venv/installed           ## is there a test for every rule? about 90 minutes; goes on where it was stopped
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/mutation.lock
	POLARS_MAX_THREADS=1 $(BIN)/python -m tests.mutation.run

engines:                            ## the jars of Flink and Spark, by Maven, each with a known digest: for `lefi engines start flink`
	engines/fetch.sh flink .engines/flink
	engines/fetch.sh spark .engines/spark

faults: .venv/installed             ## every place at which a command can fail, in every way: the matrix, and docs/faults.md
	$(BIN)/python -m tests.faults.page

bench: .venv/installed              ## ratios against the textbook pipeline, bare Polars, the floor and PySpark
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/spark.lock
	$(BIN)/python -m benchmarks.bench

docs: .venv/installed               ## what is generated in docs/, made anew, and the site of all pages in site/
	$(BIN)/python -m jobs.docs docs
	test -x .venv-docs/bin/mkdocs || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.lock
	.venv-docs/bin/mkdocs build --quiet --strict

lock:                               ## pin all versions anew
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile -q pyproject.toml --generate-hashes --no-header --python-version 3.11 -o requirements/base.lock
	echo "mkdocs==1.6.1" | $(BIN)/uv pip compile -q - --generate-hashes --no-header --python-version 3.11 -o requirements/docs.lock
	printf 'duckdb==1.4.4\nduckdb-ext-avro==1.4.4.20260205\n' | $(BIN)/uv pip compile -q - --generate-hashes --no-header --python-version 3.11 -o requirements/duckdb.lock
	$(BIN)/uv pip compile -q pyproject.toml --extra dev --generate-hashes --no-header --python-version 3.11 -o requirements/dev.lock
	$(BIN)/uv pip compile -q pyproject.toml --extra dev --extra spark --generate-hashes --no-header --python-version 3.11 -o requirements/spark.lock
	$(BIN)/uv pip compile -q pyproject.toml --extra dev --extra mutation --generate-hashes --no-header --python-version 3.11 -o requirements/mutation.lock

clean:
	rm -rf .venv .venv-docs .venv-duckdb .engines jobs/spark/jars site demo build spark-warehouse *.egg-info .hypothesis .*_cache
