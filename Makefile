# make help says what there is.

# A musl binary starts three times as fast as a static glibc one, which probes the processor at every start.
# Without relocations there is nothing to relocate, and no page to copy for it. Two segments instead of four are fewer mappings to make, to
# copy for init and to make anew there.
MUSL := x86_64-unknown-linux-musl
TARGET := $(if $(shell rustup target list --installed 2>/dev/null | grep -x $(MUSL)),$(MUSL),x86_64-unknown-linux-gnu)
# What a container's life executes and reads stands side by side (bench/order): a third less memory. The path is relative, for the names
# of constants depend on the flags, and are to be the same in every checkout.
STATIC := -C target-feature=+crt-static -C relocation-model=static -C relro-level=off -C symbol-mangling-version=v0 \
	-C link-arg=-Wl,-z,noseparate-code -C link-arg=-Wl,-T,bench/order.ld
CARGO_TARGET_DIR ?= target
CORTEN := $(CARGO_TARGET_DIR)/corten
COMPLETIONS := bash-completion/completions zsh/site-functions fish/vendor_completions.d

.PHONY: help setup build demo test test-native test-vm real engines validation faults bench install clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what building and testing need (Debian; as root)
	tests/setup

build: src/main.rs ## build the static binary, target/corten
	RUSTFLAGS="$(STATIC)" cargo build --release --locked --target $(TARGET)
	@ln -f $(CARGO_TARGET_DIR)/$(TARGET)/release/corten $(CORTEN)
	@echo "built $(CORTEN) ($(TARGET), static)"

# Cargo does not know that the linker reads it.
src/main.rs: bench/order.ld
	@touch $@

demo: build ## a shell in a container over this host's own files (as root)
	$(CORTEN) shell

test: build ## everything: style, unit tests, real containers here and in a virtual machine (as root)
	tests/run

test-native: build ## the tests with real containers, here only; T=words chooses some
	CORTEN_BIN=$(abspath $(CORTEN)) cargo test --test integration -- $(T)

test-vm: build ## the same in a virtual machine that has every cgroup controller; T=words chooses some
	tests/run vm $(T)

lessons: build ## the lessons on a plain Debian machine, in a virtual one (as root; six minutes); T=words chooses chapters
	tests/run lessons $(T)

real: build ## the three real jobs: a shell, nginx and redis from Debian, Docker
	for job in shell debian docker; do CORTEN_BIN=$(abspath $(CORTEN)) tests/real/$$job || exit 1; done

engines: export ENGINES_WITH_PEER = 1
engines: export CORTEN_BIN = $(abspath $(CORTEN))
engines: build ## docker, compose, containerd, podman with Corten beneath them, and with runc to compare (as root); T=groups chooses some
	-tests/engines/build $(CARGO_TARGET_DIR)/engines
	$(if $(T),tests/engines/run $(T),tests/engines/all)

validation: build ## the validation suite of the specification, in a virtual machine (as root); T=names chooses some
	CORTEN_BIN=$(abspath $(CORTEN)) tests/oci-validation/run $(T)

faults: build ## every system call of the runtime fails once (twenty minutes); T=words chooses
	CORTEN_BIN=$(abspath $(CORTEN)) cargo test --test faults -- --all $(T)

bench: build ## compare with the peers found here and the floor, interleaved (as root); O=options of bench/run
	bench/run $(O)

install: build ## install to PREFIX, by default /usr/local
	install -D -m 755 $(CORTEN) $(DESTDIR)$(or $(PREFIX),/usr/local)/sbin/corten
	$(CORTEN) man $(DESTDIR)$(or $(PREFIX),/usr/local)/share/man/man8
	install -d $(addprefix $(DESTDIR)$(or $(PREFIX),/usr/local)/share/,$(COMPLETIONS))
	$(CORTEN) completion bash >$(DESTDIR)$(or $(PREFIX),/usr/local)/share/bash-completion/completions/corten
	$(CORTEN) completion zsh >$(DESTDIR)$(or $(PREFIX),/usr/local)/share/zsh/site-functions/_corten
	$(CORTEN) completion fish >$(DESTDIR)$(or $(PREFIX),/usr/local)/share/fish/vendor_completions.d/corten.fish

clean: ## remove what was built
	cargo clean
