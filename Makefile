PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501

.PHONY: help run test coverage lint format evaluate bench train quantize compare examples atlas docs screenshots lock sbom clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# pip checks every package against its hash; `make lock` writes the hashes.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

$(VENV)/.run-ready: locks/run.txt | $(BIN)/python
	$(INSTALL) -r $<
	@touch $@

$(VENV)/.dev-ready: locks/dev.txt $(VENV)/.run-ready
	$(INSTALL) -r $<
	@touch $@

run: $(VENV)/.run-ready ## Set up and serve the app
	@echo "Leukoscope: http://localhost:$(PORT)"
	$(BIN)/python -m core serve --port $(PORT)

test: lint ## Set up, check style and types, run all tests
	$(BIN)/python -m pytest -n 3 --dist loadfile

coverage: $(VENV)/.dev-ready ## Run all tests and list the lines that none of them runs
	$(BIN)/python -m pytest -n 3 --dist loadfile --cov --cov-report=term-missing

lint: $(VENV)/.dev-ready ## Check style, format, types and which package imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev-ready ## Format the code and repair what a tool can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

evaluate: $(VENV)/.run-ready ## Measure every model again on its test sets
	for what in detector smear wbc attributes blast_flags all_stage all_light; do $(BIN)/python -m core evaluate $$what --out /dev/null || exit 1; done

bench: $(VENV)/.run-ready ## Time the models and the analysis of a field
	$(BIN)/python -m core bench

train: $(VENV)/.run-ready ## Train all models (hours)
	for model in detector wbc all_stage; do $(BIN)/python -m core train $$model || exit 1; done

quantize: $(VENV)/.run-ready ## Ship the models in 8 bits, of the ALL model the weights alone
	for model in detector wbc; do $(BIN)/python -m core quantize $$model || exit 1; done
	$(BIN)/python -m core quantize all_stage --precision int8_weights

compare: $(VENV)/.run-ready ## Compare networks, sources, recipes, fields and precisions on small protocols
	for name in convnet vgg19 resnet50 mobilenetv2 mobilenetv2_skcab; do $(BIN)/python -m research network $$name || exit 1; done
	for name in convnet vgg19 resnet50 mobilenetv2; do $(BIN)/python -m research stages $$name || exit 1; done
	for name in deepapl pbc kaggle; do $(BIN)/python -m research source $$name || exit 1; done
	$(BIN)/python -m research patients deepapl
	$(BIN)/python -m research labels deepapl
	for name in nothing appearance stain_transfer edge_truncation imagenet averaging label_smoothing style_mixing taught side_160 side_192; do $(BIN)/python -m research recipe $$name || exit 1; done
	for name in nothing bccd txl_575 txl_360; do $(BIN)/python -m research fields $$name || exit 1; done
	for name in detector wbc; do $(BIN)/python -m research precision $$name || exit 1; done

examples: $(VENV)/.run-ready ## Draw the synthetic example slides again
	$(BIN)/python -m core.synthetic.fields assets/examples

atlas: $(VENV)/.run-ready ## Count the attributes of PBC cells and compute the map of cells again
	$(BIN)/python -m core.teaching.attributes assets/atlas/attributes.csv
	$(BIN)/python -m core.teaching.cell_map assets/atlas/cell_map.npz

docs: $(VENV)/.run-ready ## Copy the measured numbers into the documentation
	$(BIN)/python -m benchmarks.docs_tables

screenshots: $(VENV)/.dev-ready ## Take the README's screenshots, of synthetic slides, in Chromium
	$(BIN)/python -m benchmarks.screenshots

lock: ## Write locks/ from requirements*.txt and constraints.txt
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	for name in serve:-serve run: dev:-dev; do \
	  $(VENV)-lock/bin/uv pip compile requirements$${name#*:}.txt -c constraints.txt \
	    --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --quiet \
	    --no-emit-index-url --no-emit-find-links --output-file locks/$${name%%:*}.txt || exit 1; \
	done
	rm -rf $(VENV)-lock

sbom: $(VENV)/.dev-ready ## Write the packages of the container image as an SBOM (CycloneDX)
	$(BIN)/cyclonedx-py requirements locks/serve.txt --pyproject pyproject.toml --output-reproducible --of JSON -o sbom.json

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
