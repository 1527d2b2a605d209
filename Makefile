# SPDX-License-Identifier: Apache-2.0
# The short way in; meson.build knows how things are built.
BUILD := build
ASAN := build-asan
JOBS ?= $(shell nproc)
PART ?=

.NOTPARALLEL:
.PHONY: all lab lab-down test test-programs check bench install clean

all:
	@tools/bootstrap build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	@ninja -C $(BUILD) -j $(JOBS)

lab:
	@tools/bootstrap build lab
	@$(MAKE) --no-print-directory all
	@$(BUILD)/remora lab up

lab-down:
	@$(BUILD)/remora lab down

test: test-programs
	@tests/run --jobs $(JOBS) --unit $(BUILD) --unit $(ASAN) --system $(BUILD)

# All that the tests need, the clients they speak with included.
test-programs:
	@tools/bootstrap build lab test
	@$(MAKE) --no-print-directory all
	@test -f $(ASAN)/build.ninja || meson setup $(ASAN) -Db_sanitize=address,undefined
	@ninja -C $(ASAN) -j $(JOBS)
	@lab/guest/build $(BUILD)/guest/guest.raw
	@tools/govmomi
	@tools/openvswitch

check:
	@tools/bootstrap build test
	@tools/check

bench:
	@tools/bootstrap build bench
	@$(MAKE) --no-print-directory all
	@tools/govmomi
	@bench/run $(PART)

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf $(BUILD) $(ASAN)
