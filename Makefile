# SPDX-License-Identifier: Apache-2.0
# The short way in; meson.build knows how things are built.
BUILD := build
ASAN := build-asan
NATIVE := $(if $(filter aarch64,$(shell uname -m)),arm64,amd64)
OTHER := $(if $(filter arm64,$(NATIVE)),amd64,arm64)
ARCH ?= $(NATIVE)
JOBS ?= $(shell nproc)
PART ?=

.NOTPARALLEL:
.PHONY: all native cross lab lab-down test test-programs check bench install clean

all: $(if $(filter $(ARCH),$(NATIVE)),native,cross)

native:
	@tools/bootstrap build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	@ninja -C $(BUILD) -j $(JOBS)

# All programs and unit tests for the other architecture: make ARCH=arm64.
cross:
	@tools/bootstrap build cross
	@tools/cross $(ARCH) build-$(ARCH)
	@ninja -C build-$(ARCH) -j $(JOBS)

# With another ARCH (arm64), dpu-1 is an emulated machine that boots the image.
lab:
	@tools/bootstrap build lab $(if $(filter $(ARCH),$(NATIVE)),,cross image)
	@$(MAKE) --no-print-directory native ARCH=$(NATIVE)
	@$(if $(filter $(ARCH),$(NATIVE)),:,$(MAKE) --no-print-directory cross image/build-$(ARCH))
	@$(BUILD)/remora lab up $(if $(filter $(ARCH),$(NATIVE)),,--arch $(ARCH))

image/build-%:
	@image/build --arch $*

lab-down:
	@$(BUILD)/remora lab down

test: test-programs
	@tests/run --jobs $(JOBS) --unit $(BUILD) --unit $(ASAN) --unit build-$(OTHER) \
		$(if $(filter arm64,$(OTHER)),--inside build-arm64) --system $(BUILD)

# All that the tests need, the clients they speak with included.
test-programs:
	@tools/bootstrap build cross image lab test
	@$(MAKE) --no-print-directory native
	@test -f $(ASAN)/build.ninja || meson setup $(ASAN) -Db_sanitize=address,undefined
	@ninja -C $(ASAN) -j $(JOBS)
	@$(MAKE) --no-print-directory cross ARCH=$(OTHER)
	@image/build --arch $(NATIVE)
	@image/build --arch $(OTHER)
	@lab/guest/build $(BUILD)/guest/guest.raw
	@lab/guest/build --arch arm64 $(BUILD)/guest/guest-arm64.raw
	@tools/govmomi
	@tools/openvswitch

check:
	@tools/bootstrap build test
	@tools/check

bench:
	@tools/bootstrap build bench
	@$(MAKE) --no-print-directory native
	@tools/govmomi
	@bench/run $(PART)

install: native
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf $(BUILD) $(ASAN) build-arm64 build-amd64
