# attune: what one can do here. `make help` lists it; Meson does the building.
BUILD      ?= build
SAN        ?= build-asan
JOBS       ?= $(shell nproc)
# Tests wait for each other, for clocks and for frames more than they compute: one more than there are processors.
TEST_JOBS  ?= $(shell expr $(JOBS) + 1)
SECONDS    ?= 180
ATTUNE     := $(BUILD)/src/cmd/attune

.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

deps: ## install what is missing from Debian (says what; needs root or sudo only then)
	@tools/install-deps.sh build

build: deps $(BUILD)/build.ninja ## build/src/cmd/attune
	@ninja -C $(BUILD) -j$(JOBS)

$(BUILD)/build.ninja: | deps
	@meson setup $(BUILD) --werror

demo: build ## server, eight cameras and the town on this machine, three minutes
	@$(ATTUNE) demo --seconds $(SECONDS)

test: web-deps build asan-build ## all tests, plain and under ASan+UBSan
	@meson test -C $(BUILD) --print-errorlogs --num-processes $(TEST_JOBS) --timeout-multiplier 4
	@meson test -C $(SAN) --print-errorlogs --num-processes $(TEST_JOBS) --timeout-multiplier 8

web-deps:
	@tools/web-deps.sh maybe

asan-build: deps
	@test -f $(SAN)/build.ninja || meson setup $(SAN) --werror -Doptimization=1 -Dc_args=-Wno-format-truncation -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(SAN) -j$(JOBS)

tsan: deps ## the threaded tests under ThreadSanitizer
	@test -f build-tsan/build.ninja || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false
	@ninja -C build-tsan -j$(JOBS)
	@TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp" meson test -C build-tsan --suite threads -t 4 --print-errorlogs

check: build ## format, headers alone, layers, static analysis
	@tools/install-deps.sh ci && tools/check.sh $(BUILD)

fuzz: ## every parser's fuzz target, FUZZ_S seconds each (default 60), two at a time
	@tools/install-deps.sh dev && tools/fuzz.sh $${FUZZ_S:-60}

bench: build ## sizes and speeds, side by side with what they are compared to
	@bench/run.sh $(BUILD)

bench-engine: build ## the engine against PyTorch and ONNX Runtime, into OUT (docs/benchmarks.md)
	@bench/engine.sh $${OUT:-$(BUILD)/bench-engine} $(BUILD)

bench-detect: build ## detection on real clips: STUDENT=, TEACHER= (described ONNX files), CLIPS=FOLDER
	@bench/detect.sh "$(STUDENT)" "$(TEACHER)" "$(CLIPS)" $(BUILD)

bench-stills: build ## classification of real stills, DATA=FOLDER with a folder for each class
	@bench/stills.sh "$(DATA)" $(BUILD)

docs: ## the library's reference (Doxygen) into build/docs/html; undocumented names are errors
	@tools/install-deps.sh ci
	@mkdir -p $(BUILD)/docs && ATTUNE_DOCS_OUT=$(BUILD)/docs doxygen docs/Doxyfile && echo $(BUILD)/docs/html/index.html

deb: ## the Debian packages, into build/deb; TWICE=1 builds them again and compares
	@tools/install-deps.sh package
	@tools/deb.sh $(BUILD)/deb

kill-test: build ## kill -9 of server and camera, 20 times each, in a running loop
	@tests/kill_test.sh $(BUILD) 20

fmt: ## clang-format everything
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## remove the build folders
	@rm -rf $(BUILD) $(SAN) build-tsan build-fuzz

.PHONY: help deps build demo docs deb test web-deps asan-build tsan check fuzz bench bench-engine bench-stills bench-detect kill-test fmt clean
