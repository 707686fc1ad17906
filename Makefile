# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# `make demo` and `make test` do all the set-up themselves; `make help` lists the rest.
# Plain `make` downloads nothing.

# Libraries of the program, as pkg-config names: scripts/deps.sh knows their packages.
PKGS := libbpf libelf libdw zlib json-c libcap
# libiberty has the demangler of the binutils, and no pkg-config module.
LIBRARIES := $(PKGS) libiberty

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
CFLAGS ?= -O2 -g

# ARCH=arm64 builds for that machine, with the distribution's cross compiler and its libraries unpacked
# into a folder (scripts/sysroot.sh): nothing of this machine is changed.
HOST_ARCH := $(shell uname -m | sed -e 's/aarch64/arm64/')
ARCH ?= $(HOST_ARCH)
ifneq ($(ARCH),$(HOST_ARCH))
ifneq ($(ARCH),arm64)
$(error threadprof is built for $(HOST_ARCH), which is this machine, or with ARCH=arm64)
endif
CROSS := $(ARCH)
SYSROOT := $(CURDIR)/build/$(CROSS)/sysroot
CC := aarch64-linux-gnu-gcc
STRIP := aarch64-linux-gnu-strip
SYSROOT_FLAGS := --sysroot=$(SYSROOT)
export PKG_CONFIG_SYSROOT_DIR := $(SYSROOT)
export PKG_CONFIG_LIBDIR := $(SYSROOT)/usr/lib/aarch64-linux-gnu/pkgconfig:$(SYSROOT)/usr/share/pkgconfig
endif

STRIP ?= strip
export CC ARCH
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
.PHONY: all static static-if-possible deps deps-test deps-vm kernels demo bench bench-programs test test-unit test-system test-vm test-arm64 test-nobtf unit unit-programs workload demo-programs
.PHONY: install uninstall clean help FORCE

ifneq ($(V),1)
Q := @
say = @printf '  %-5s %s\n' '$(1)' '$(2)'
endif

# Each variant has its own directory, so that objects of two kinds never meet in one program.
VARIANT := $(if $(filter 1,$(SAN)),san)$(if $(filter 1,$(STATIC)),static)$(if $(filter 1,$(DEV)),dev)
TOP := build$(addprefix /,$(CROSS))
BUILD := $(TOP)$(if $(VARIANT),/$(VARIANT))
PROGRAM := threadprof$(addprefix -,$(CROSS))
STATIC_PROGRAM := threadprof-static$(addprefix -,$(CROSS))
# Unit programs are always built with the sanitizers.
UNIT_DIR := build/san$(if $(filter 1,$(DEV)),dev)/unit

# shared.bpf.c first: libbpf 1.1 mislays maps that are declared before the file that defines them.
# snoop.bpf.c is an object of its own: `threadprof snoop` runs without the other programs.
SNOOP_SRC := bpf/snoop.bpf.c
BPF_SRC := bpf/shared.bpf.c $(filter-out bpf/shared.bpf.c $(SNOOP_SRC),$(sort $(wildcard bpf/*.bpf.c)))
SRC := $(sort $(wildcard src/*.c))
BPF_OBJ := $(BPF_SRC:%.c=$(BUILD)/%.o)
SNOOP_OBJ := $(SNOOP_SRC:%.c=$(BUILD)/%.o)
SKEL := $(BUILD)/threadprof.skel.h $(BUILD)/snoop.skel.h
OBJ := $(SRC:%.c=$(BUILD)/%.o)
LIB_OBJ := $(filter-out $(BUILD)/src/main.o,$(OBJ))
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/*.c)))
WORKLOAD := $(patsubst tests/workload/%.c,$(TOP)/workload/%,$(sort $(wildcard tests/workload/*.c)))
DEMO := $(patsubst demo/%.c,$(TOP)/demo/%,$(sort $(wildcard demo/*.c)))
BENCH := $(patsubst bench/%.c,$(TOP)/bench/%,$(sort $(filter-out %.bpf.c,$(wildcard bench/*.c))))

all: $(PROGRAM) ## build ./threadprof (DEV=1: strict, warnings are errors; SAN=1: sanitizers; V=1: show commands; ARCH=arm64: for that machine)

# ---------------------------------------------------------------- tools and flags

# The goals that compile nothing, or install first and then compile in a make of their own.
NO_TOOLS := deps deps-test deps-vm static static-if-possible kernels demo bench test test-unit test-system test-vm test-arm64 test-nobtf uninstall clean help
ifneq ($(filter-out $(NO_TOOLS),$(or $(MAKECMDGOALS),all)),)
SET := $(or $(addprefix cross-,$(CROSS)),$(if $(filter 1,$(STATIC)),static,build))
LACKING := $(shell scripts/deps.sh missing $(SET) $(LIBRARIES))
ifneq ($(LACKING),)
HOW := $(if $(filter static,$(SET)),scripts/deps.sh static $(LIBRARIES),make deps$(if $(CROSS), ARCH=$(CROSS)))
$(error threadprof cannot be built without $(LACKING): run '$(HOW)' to install what is missing)
endif
CLANG := $(or $(CLANG),$(shell scripts/deps.sh which clang))
BPFTOOL := $(or $(BPFTOOL),$(shell scripts/deps.sh which bpftool))
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS))
PKG_LIBS := -liberty $(shell pkg-config $(if $(filter 1,$(STATIC)),--static) --libs $(PKGS))
endif

BPF_ARCH := $(ARCH:x86_64=x86)

STRICT := -Werror -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition \
	-Wvla -Wwrite-strings -Wshadow -Wformat=2 -Wundef -Wpointer-arith
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
STATIC_FLAGS := -DTHREADPROF_STATIC -ffunction-sections -fdata-sections
STATIC_LINK := -static -Wl,--gc-sections $(addprefix -L,$(wildcard $(SYSROOT)/usr/lib/gcc/aarch64-linux-gnu/*))
# No path of the build machine in the program: two clones build the same bytes.
HERE := -ffile-prefix-map=$(CURDIR)=.

BPF_FLAGS = -target bpf -O2 -g -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -Ibpf -Isrc -Ivmlinux \
	$(filter -I%,$(PKG_CFLAGS)) -Wall $(if $(filter 1,$(DEV)),-Wextra -Wno-unused-parameter -Werror) \
	-fno-stack-protector $(HERE)
C_FLAGS = $(SYSROOT_FLAGS) -std=gnu11 -D_GNU_SOURCE -Wall $(if $(filter 1,$(DEV)),$(STRICT)) \
	$(if $(filter 1,$(SAN)),$(SANITIZE)) $(if $(filter 1,$(STATIC)),$(STATIC_FLAGS)) -Isrc -I$(BUILD) $(PKG_CFLAGS) $(HERE) $(CPPFLAGS) $(CFLAGS)
LINK_FLAGS = $(SYSROOT_FLAGS) $(if $(filter 1,$(SAN)),$(SANITIZE)) $(if $(filter 1,$(STATIC)),$(STATIC_LINK)) $(LDFLAGS)
# Static where they run elsewhere: in a guest without libraries.
PROGRAM_FLAGS = $(if $(CROSS),$(SYSROOT_FLAGS) -static) -std=gnu11 -D_GNU_SOURCE -Wall $(if $(filter 1,$(DEV)),$(STRICT)) \
	-O2 -g -pthread -fno-omit-frame-pointer $(HERE)

# Stamps: rewritten only when their text changes, so that other flags, another version or a
# source file that came or went rebuild what they concern, and nothing else does.
STAMPS := $(BUILD)/bpf.flags $(BUILD)/bpf.list $(BUILD)/c.flags $(BUILD)/c.list \
	$(BUILD)/version.h $(TOP)/program.flags
GIT_SHA = $(shell test -e .git && git rev-parse --short=12 HEAD 2>/dev/null)

$(BUILD)/bpf.flags: export TEXT = $(CLANG) $(BPF_FLAGS)
$(BUILD)/bpf.list: export TEXT = $(BPFTOOL) $(BPF_SRC)
$(BUILD)/c.flags: export TEXT = $(CC) $(C_FLAGS) / $(LINK_FLAGS) $(PKG_LIBS)
$(BUILD)/c.list: export TEXT = $(SRC)
$(BUILD)/version.h: export TEXT = \#define THREADPROF_VERSION "$(file <VERSION)$(addprefix +g,$(GIT_SHA))"
$(TOP)/program.flags: export TEXT = $(CC) $(PROGRAM_FLAGS)
$(STAMPS): FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$TEXT" | cmp -s - $@ || printf '%s\n' "$$TEXT" >$@

# ---------------------------------------------------------------- the kernel side

$(BPF_OBJ) $(SNOOP_OBJ): $(BUILD)/%.o: %.c $(BUILD)/bpf.flags
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/threadprof.bpf.o: $(BPF_OBJ) $(BUILD)/bpf.list
	$(call say,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $(BPF_OBJ)

$(BUILD)/snoop.bpf.o: $(SNOOP_OBJ) $(BUILD)/bpf.list
	$(call say,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $(SNOOP_OBJ)

$(SKEL) $(BUILD)/bench/hooks.skel.h: $(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(*F)_bpf >$@

# ---------------------------------------------------------------- the user side

# The generated headers come first once; after that the .d files know who includes them.
$(OBJ): $(BUILD)/%.o: %.c $(BUILD)/c.flags | $(SKEL) $(BUILD)/version.h
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/threadprof: $(OBJ) $(BUILD)/c.list
	$(call say,LINK,$@)
	$(Q)$(CC) $(LINK_FLAGS) $(OBJ) $(PKG_LIBS) -o $@

# The variant built last. It is replaced, not overwritten: one that runs keeps its file.
$(PROGRAM): $(BUILD)/threadprof FORCE
	@cmp -s $< $@ || { cp $< $@.new && mv $@.new $@; }

static: ## build ./threadprof-static: one file that runs without any library
	@$(MAKE) STATIC=1 $(STATIC_PROGRAM)

$(STATIC_PROGRAM): $(BUILD)/threadprof FORCE
	@$(STRIP) -o $@.new $< && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }

# ---------------------------------------------------------------- programs of the tests and the demo

# ar would keep the members of sources that are gone.
$(BUILD)/libthreadprof.a: $(LIB_OBJ) $(BUILD)/c.list
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJ)

$(UNIT): $(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libthreadprof.a
	$(call say,TEST,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -Itests -MMD -MP -MT $@ -MF $@.d $< $(LINK_FLAGS) \
		$(BUILD)/libthreadprof.a $$(pkg-config --cflags --libs cmocka) $(PKG_LIBS) -o $@

unit-programs: $(UNIT)
	@:

unit:
	@$(MAKE) SAN=1 unit-programs

# Plain servers as others write them: no library of ours, frame pointers for call sites.
$(WORKLOAD): $(TOP)/workload/%: tests/workload/%.c $(TOP)/program.flags
$(DEMO): $(TOP)/demo/%: demo/%.c $(TOP)/program.flags
$(BENCH): $(TOP)/bench/%: bench/%.c $(TOP)/program.flags
$(BUILD)/bench/hooks.bpf.o: bench/hooks.bpf.c $(BUILD)/bpf.flags
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -MMD -MP -c $< -o $@

$(TOP)/bench/hooks: $(BUILD)/bench/hooks.skel.h
$(TOP)/bench/hooks: PROGRAM_LIBS = -I$(BUILD)/bench $(PKG_CFLAGS) $(PKG_LIBS)
$(TOP)/bench/consume: $(BUILD)/libthreadprof.a
$(TOP)/bench/consume: PROGRAM_LIBS = -Isrc $(BUILD)/libthreadprof.a $(PKG_CFLAGS) $(PKG_LIBS)
$(WORKLOAD) $(DEMO) $(BENCH):
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PROGRAM_FLAGS) -MMD -MP -MT $@ -MF $@.d $< $(LDFLAGS) $(PROGRAM_LIBS) -o $@

workload: $(WORKLOAD)
	@:

demo-programs: $(DEMO)
	@:

bench-programs: $(BENCH)
	@:

-include $(BPF_OBJ:.o=.d) $(SNOOP_OBJ:.o=.d) $(OBJ:.o=.d) $(addsuffix .d,$(UNIT) $(WORKLOAD) $(DEMO) $(BENCH))

# ---------------------------------------------------------------- set-up, demo, tests

deps: ## install what the build lacks
	@scripts/deps.sh $(or $(addprefix cross-,$(CROSS)),build) $(LIBRARIES)

deps-test: ## install what the build and the tests lack
	@scripts/deps.sh test $(LIBRARIES)

demo: deps ## install what is missing, build, profile a small server for 10 s
	@$(MAKE) all demo-programs
	@demo/run.sh

bench: ## install what is missing, build, measure threadprof beside its peers (BENCH_ARGS="--rounds 5")
	@scripts/deps.sh bench $(LIBRARIES)
	@$(MAKE) all bench-programs workload
	@bench/run.py $(BENCH_ARGS)

# Only where they can be had: the tests that need them say why they are skipped.
deps-vm:
	@scripts/deps.sh static $(LIBRARIES) && scripts/deps.sh vm || \
		echo "threadprof: the tests in virtual machines, or all of the static program, will be skipped"

static-if-possible:
	@[ -n "$$(scripts/deps.sh missing static $(LIBRARIES))" ] || $(MAKE) static

test: deps-test $(if $(TESTS),,deps-vm) ## install what is missing, build, run every test (TESTS="tests/unit/x.c ..." runs some)
	@$(MAKE) all workload unit
	@$(MAKE) static-if-possible
	@UNIT_DIR=$(UNIT_DIR) tests/run.sh $(TESTS)

test-unit: ## the unit tests alone: no root needed
	@scripts/deps.sh unit $(LIBRARIES)
	@$(MAKE) unit
	@UNIT_DIR=$(UNIT_DIR) tests/run.sh tests/unit

test-system: deps-test ## the command-line and system tests alone: root
	@$(MAKE) all workload
	@$(MAKE) static-if-possible
	@tests/run.sh tests/cli tests/system

# Each kernel that Debian's releases have, and the newest.
VM_GUESTS ?= bullseye bookworm trixie trixie-backports

test-vm: deps deps-vm ## on other kernels, in virtual machines: QEMU, and a network to fetch the kernels once
	@$(MAKE) workload
	@$(MAKE) static
	@VM_GUESTS="$(VM_GUESTS)" tests/run.sh tests/vm

test-arm64: ## on arm64 kernels, in virtual machines: a cross compiler, QEMU, and a network to fetch the rest once
	@$(MAKE) deps ARCH=arm64
	@scripts/deps.sh vm-arm64
	@$(MAKE) ARCH=arm64 static workload
	@tests/run.sh tests/vm/arm64.sh

test-nobtf: deps deps-vm ## on a kernel without BTF, in a virtual machine: QEMU, a network and ten minutes to build the kernel once
	@scripts/deps.sh kernel
	@$(MAKE) workload
	@$(MAKE) static
	@SUITE_TIMEOUT=1800 tests/run.sh tests/vm/nobtf.sh

kernels: deps deps-vm ## the same, and write its table to docs/kernels.md
	@$(MAKE) workload
	@$(MAKE) static
	@VM_GUESTS="$(VM_GUESTS)" VM_DOC=docs/kernels.md tests/run.sh tests/vm

# ---------------------------------------------------------------- the rest

# What docs/privileges.md says of each. chgrp comes first: it takes away what setcap gave.
CAPABILITIES := cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_checkpoint_restore

install: $(BUILD)/threadprof docs/threadprof.8 docs/threadprof-snoop.8 docs/threadprof-check.8 ## PREFIX=/usr/local, DESTDIR=, SETCAP=1 GROUP=name: without root for these
	install -D -m 755 $(BUILD)/threadprof $(DESTDIR)$(BINDIR)/threadprof
	[ ! -e threadprof-static ] || install -D -m 755 threadprof-static $(DESTDIR)$(BINDIR)/threadprof-static
	install -D -m 644 docs/threadprof.8 $(DESTDIR)$(MANDIR)/man8/threadprof.8
	install -D -m 644 docs/threadprof-snoop.8 $(DESTDIR)$(MANDIR)/man8/threadprof-snoop.8
	install -D -m 644 docs/threadprof-check.8 $(DESTDIR)$(MANDIR)/man8/threadprof-check.8
ifneq ($(GROUP),)
	chgrp $(GROUP) $(DESTDIR)$(BINDIR)/threadprof
	chmod 750 $(DESTDIR)$(BINDIR)/threadprof
endif
ifeq ($(SETCAP),1)
	PATH=$$PATH:/usr/sbin:/sbin setcap $(CAPABILITIES)=ep $(DESTDIR)$(BINDIR)/threadprof
endif

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/threadprof $(DESTDIR)$(BINDIR)/threadprof-static \
		$(DESTDIR)$(MANDIR)/man8/threadprof.8 \
		$(DESTDIR)$(MANDIR)/man8/threadprof-snoop.8 $(DESTDIR)$(MANDIR)/man8/threadprof-check.8

clean: ## remove everything that was built
	rm -rf build threadprof threadprof-arm64 threadprof-static threadprof-static-arm64

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'
