# SPDX-License-Identifier: GPL-2.0-or-later
#
# The front door. `make demo` and `make check` need nothing but a Debian 12 with
# root or sudo and its package mirror; `make help` lists the rest.
#
# Everything that is made lies under build/: the parts in build/{agent,kmod,
# plugin,track}, what they install in build/stage, the lab in build/lab.

SHELL    := /bin/bash
MAKEFLAGS += --no-print-directory
BUILD    ?= $(CURDIR)/build
KERNEL   ?= 6.1
JOBS     ?= $(shell nproc)
# `make install` and `make -C kmod`: another kernel than the running one
KVER     ?= $(shell uname -r)
KDIR     ?= /lib/modules/$(KVER)/build
# 1: print every command of the builds
V        ?= 0

DESTDIR  ?=
STAGE    := $(BUILD)/stage
# check-matrix: the other release of Debian, and its strongSwan
OTHER    := trixie
OTHER_SWAN := 6.0.1
LAB      := $(BUILD)/lab
QEMU     := selftests/qemu
KDIR_LAB  = $(LAB)/kernel-$(KERNEL)/build
KVER_LAB  = $(shell cat $(LAB)/kernel-$(KERNEL)/release)

CMAKE_FLAGS ?=
NICE     := nice -n 5

export MCIPSEC_BUILD := $(BUILD)
export V

.PHONY: all help deps lab-images kmod agent plugin track stage install \
	demo demo-more check check-lab check-long check-matrix bench bench-peers fuzz style analyze lab-shell deb clean

all: kmod agent plugin track

help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST))

# ---- what building and testing needs on this machine ------------------------
## deps          install missing build tools, libraries and QEMU (no daemon)
deps:
	@$(QEMU)/deps.sh

## lab-images    lab root and stock kernel (KERNEL=6.1, 6.12 or 7.3) under build/lab
lab-images: deps
	@$(QEMU)/root.sh >/dev/null
	@$(QEMU)/kernel.sh $(KERNEL) >/dev/null

# ---- the parts ----------------------------------------------------------------
## all           module for the lab's kernel, agent, plugin, keepalived-track
## kmod          mcipsec.ko for the lab's kernel (make -C kmod: for the running one)
kmod: lab-images
	@$(QEMU)/kmod.sh $(KERNEL)

## agent         mcipsecd and mcipsec
agent: deps
	@$(QEMU)/step.sh "configure agent" cmake -S . -B $(BUILD)/agent -G Ninja $(CMAKE_FLAGS)
	@$(QEMU)/step.sh "build agent" $(NICE) ninja -C $(BUILD)/agent -j $(JOBS) mcipsecd mcipsec

# Unit tests, simulations: what `make demo` does not have to wait for.
unit-tests: agent
	@$(QEMU)/step.sh "build unit tests" $(NICE) ninja -C $(BUILD)/agent -j $(JOBS)
.PHONY: unit-tests

## plugin        libstrongswan-mcipsec.so
plugin: deps
	@$(QEMU)/step.sh "build plugin" $(NICE) $(MAKE) -C vici-plugin O=$(BUILD)/plugin

# For the charon of the other release: objects and headers of its own.
plugin-other: deps
	@$(QEMU)/step.sh "build plugin for strongSwan $(OTHER_SWAN)" $(NICE) \
		$(MAKE) -C vici-plugin SWAN_VERSION=$(OTHER_SWAN) O=$(BUILD)/plugin-$(OTHER_SWAN)
.PHONY: plugin-other

## track         mcipsec-track and mcipsec-trackd
track: deps
	@$(QEMU)/step.sh "build keepalived-track" $(NICE) $(MAKE) -C keepalived-track O=$(BUILD)/track

# ---- installing ------------------------------------------------------------------
# User space only; the module is installed for the kernel it was built for. Where to,
# and another plugin than that for strongSwan 5.9.8: its objects and its version.
define install_user
	DESTDIR=$(1) cmake --install $(BUILD)/agent --strip
	$(MAKE) -C vici-plugin O=$(or $(2),$(BUILD)/plugin) $(addprefix SWAN_VERSION=,$(3)) DESTDIR=$(1) install
	$(MAKE) -C keepalived-track O=$(BUILD)/track DESTDIR=$(1) install
	install -D -m 644 -t $(1)/etc/bird bird-conf/*.conf
	install -D -m 644 -t $(1)/lib/systemd/system systemd/*.service
	for page in Documentation/man/*.[1-8]; do \
		install -D -m 644 -t $(1)/usr/share/man/man$${page##*.} $$page || exit 1; \
	done
endef

## install       into DESTDIR, module for the running kernel included (or KVER=, KDIR=)
install: agent plugin track
	@[ -e $(KDIR)/Makefile ] || $(QEMU)/deps.sh linux-headers-$(KVER)
	$(call install_user,$(DESTDIR))
	$(MAKE) -C kmod O=$(BUILD)/kmod/install-$(KVER) KVER=$(KVER) KDIR=$(KDIR) DESTDIR=$(DESTDIR) install

## stage         what the lab guests get laid over their root (build/stage)
stage: all
	@$(QEMU)/step.sh "stage" $(MAKE) stage-files

stage-files:
	rm -rf $(STAGE).new
	mkdir -p $(STAGE).new
	$(call install_user,$(STAGE).new)
	for k in $(BUILD)/kmod/[0-9]*/kmod/mcipsec.ko; do \
		install -D -m 644 $$k $(STAGE).new/usr/lib/modules/$$(basename $${k%/kmod/mcipsec.ko})/extra/mcipsec.ko; \
	done
	$(call stage_ready,$(STAGE))
.PHONY: stage-files

define stage_ready
	if [ -d $(1).new/lib ]; then cp -a $(1).new/lib $(1).new/usr/ && rm -rf $(1).new/lib; fi
	rm -rf $(1)
	mv $(1).new $(1)
endef

# The same programs over the lab root of the other release: with the plugin for its
# charon, and the libraries of this one that they are linked with and it does not have.
STAGE_OTHER := $(STAGE)-$(OTHER)
OTHER_LIBS := libfmt

stage-other: stage plugin-other
	@$(QEMU)/root.sh $(OTHER) >/dev/null
	@$(QEMU)/step.sh "stage for $(OTHER)" $(MAKE) stage-other-files

stage-other-files:
	rm -rf $(STAGE_OTHER).new
	mkdir -p $(STAGE_OTHER).new
	$(call install_user,$(STAGE_OTHER).new,$(BUILD)/plugin-$(OTHER_SWAN),$(OTHER_SWAN))
	ldd $(STAGE_OTHER).new/usr/sbin/mcipsecd | awk '$$3 ~ "/($(OTHER_LIBS))[.]so" { print $$3 }' | while read -r lib; do \
		install -D -m 644 -t $(STAGE_OTHER).new/usr$$(dirname $$(readlink -f $$lib) | sed 's,^/usr,,') $$lib || exit 1; \
	done
	$(call stage_ready,$(STAGE_OTHER))
.PHONY: stage-other stage-other-files

# ---- the two commands ---------------------------------------------------------------
## demo          two gateways and their peers in the lab: set-up, failures and hand-overs, explained
demo: stage lab-tools
	@$(QEMU)/run.sh --kernel $(KERNEL) --timeout 1200 --results $(BUILD)/results/demo selftests/demo.sh

## demo-more     two tunnel-groups with opposite masters, a dynamic tunnel, dual master: explained
demo-more: stage lab-tools
	@$(QEMU)/run.sh --kernel $(KERNEL) --timeout 1200 --results $(BUILD)/results/demo-more selftests/demo-more.sh

## check         house rules, unit tests, fuzzers, the lab's short tests; ends with "N passed, N failed, N skipped"
check: stage unit-tests lab-tools
	@$(QEMU)/check.sh

## check-lab     check with all of the lab's tests but the long ones
check-lab: stage unit-tests lab-tools check-tools
	@MCIPSEC_SCRIPTS=lab $(QEMU)/check.sh

lab-tools: deps
	@$(QEMU)/step.sh "build lab tools" $(MAKE) -C selftests/lab O=$(BUILD)/lab-tools
	@$(QEMU)/step.sh "build module test tools" $(MAKE) -C selftests/kmod O=$(BUILD)/lab-tools
.PHONY: lab-tools

check-tools: lab-tools agent
	@$(QEMU)/step.sh "build agents of other versions" $(NICE) ninja -C $(BUILD)/agent -j $(JOBS) mcipsecd-skewed
	@$(QEMU)/step.sh "build test tools" $(MAKE) -C selftests/lab O=$(BUILD)/lab-tools check-tools
.PHONY: check-tools

## check-long    check-matrix, long tests and demo-more, a longer exploration, every fuzzer
check-long: check-matrix
	@MCIPSEC_SCRIPTS=all $(QEMU)/check.sh '@(*/long_*|demo-more.sh)'
	@$(QEMU)/step.sh "explore 10^7 states a layer" $(NICE) $(BUILD)/agent/explore --states 10000000
	@$(MAKE) fuzz-long

## check-matrix  check-lab on the 6.1 and 6.12 kernels, then the cells
check-matrix:
	@for k in 6.1 6.12; do $(MAKE) kmod KERNEL=$$k || exit 1; done
	@MCIPSEC_KERNELS="6.1 6.12" $(MAKE) check-lab
	@$(MAKE) cells

## cells         gateways of two releases of Debian on 6.1, 6.12 and 7.3 (CELLS="6.1:trixie:bookworm ...")
MATRIX_KERNELS := 6.1 6.12 7.3
MATRIX_ROOTS := bookworm $(OTHER)
CELLS ?= $(foreach k,$(MATRIX_KERNELS),$(foreach a,$(MATRIX_ROOTS),$(foreach b,$(MATRIX_ROOTS),$(k):$(a):$(b))))
# The plugin's tests: gateway A hands its tunnels to B, which hands them back.
PAIRS ?= 6.1:B 7.3:A 6.12:A+B
CELLS_KERNELS = $(filter $(addsuffix :%,$(1)),$(CELLS) $(PAIRS))
cells: unit-tests lab-tools
	@for k in $(foreach k,$(MATRIX_KERNELS),$(if $(call CELLS_KERNELS,$(k)),$(k))); do \
		$(MAKE) kmod KERNEL=$$k || exit 1; \
	done
	@$(MAKE) stage-other
	@MCIPSEC_KERNELS="$(if $(call CELLS_KERNELS,7.3),7.3)" MCIPSEC_CELLS="$(CELLS)" MCIPSEC_PAIRS="$(PAIRS)" \
		MCIPSEC_OTHER=$(OTHER) MCIPSEC_SCRIPTS=lab \
		$(QEMU)/check.sh '@(kmod|cell)/*'
.PHONY: cells

# ---- more ------------------------------------------------------------------------------
## lab-shell     a shell in the running topology: `lab CE-1 ping -I vprn2 192.168.2.1`
lab-shell: stage lab-tools
	@$(QEMU)/run.sh --kernel $(KERNEL) --interactive --results $(BUILD)/results/shell selftests/lab/shell.sh

## bench         speed and memory, ratios on the same machine in the same run
bench: stage lab-tools
	@$(QEMU)/bench.sh

## bench-peers   beside cold failover and strongSwan's ha: outage, re-authentication (PEERS="1:5 10:2 100:1")
PEERS ?=
bench-peers: stage lab-tools
	@$(QEMU)/peers.sh $(PEERS)

## fuzz          the decoders under libFuzzer (clang), SECONDS_EACH=60
fuzz: deps
	@$(QEMU)/fuzz.sh

## fuzz-long     10^7 executions or 15 minutes each, and where coverage came to rest
fuzz-long: deps
	@$(QEMU)/fuzz.sh long

# The corpora that are kept, anew from a capture in the lab and our own encoders.
fuzz-corpus: stage lab-tools
	@$(QEMU)/fuzz.sh corpus
.PHONY: fuzz-long fuzz-corpus

## style         file rules, netlink specification, checkpatch, sparse and W=1 (part of check)
style: lab-images
	@$(QEMU)/style.sh

## analyze       clang-tidy for the agent
analyze: deps
	@$(QEMU)/deps.sh --quiet clang clang-tidy
	@$(QEMU)/step.sh "configure for clang-tidy" cmake -S . -B $(BUILD)/tidy -G Ninja -DCMAKE_CXX_COMPILER=clang++
	@find agent -name '*.cpp' -print0 | xargs -0 -n 4 -P $(JOBS) clang-tidy -p $(BUILD)/tidy --quiet

## deb           Debian packages in build/deb
deb:
	@$(QEMU)/deps.sh debhelper dh-dkms
	packaging/deb.sh $(BUILD)/deb

## clean         remove what was built; the lab's downloads stay (distclean: all)
clean:
	rm -rf $(addprefix $(BUILD)/,agent plugin track kmod kmod-checked stage tidy fuzz lab-tools results)

# toolchain-*: a Debian, whose files are root's.
distclean:
	rm -rf $(BUILD) 2>/dev/null || sudo rm -rf $(BUILD)
.PHONY: distclean
