# Every target sets up what it needs. Two of them are for everybody: `make demo` and `make test`.

CARGO := cargo
SIGILLO := target/release/sigillo
DEMO := target/release/demo
# A PKCS#11 module that makes every call slower (tests/shim). Only tests and `make bench` use it; it is a part of no build of Sigillo.
SLOW_HSM := target/slow-hsm.so

# Processes of two users, each with a token directory of its own: of SoftHSM's files, and run on them. The description is the
# same on every token.
ON_FILES := --skip memory:: --skip snapshot:: --skip contract::

.PHONY: help deps demo run test lint bench bench-micro prove contract fuzz

help:
	@echo "make demo   a citizen's whole journey with real parts; ends by itself"
	@echo "make run    the same installation, running until Ctrl-C"
	@echo "make test   every test, with SoftHSM, p11-kit, kryoptic, mutual TLS and a mail relay"
	@echo "make lint   format, clippy, documentation, and cargo-deny where it is installed"
	@echo "make bench  the table of targets, each figure beside its ceiling of the same run (10 minutes), and the cost of decisions"
	@echo "            (PEERS=1: privacyIDEA too, installed from PyPI; BEFORE=FILE: compared with an earlier runs.json;"
	@echo "             FULL=1: ten million cards and half an hour of the mixture, in an hour; ARGS='--seconds 10' and others)"
	@echo "make bench-micro  times and instruction counts of the smallest parts, compared with bench/instructions.toml"
	@echo "            (RECORD=1: writes that file)"
	@echo "make prove  the proofs of SECURITY.md, with one report (hours; ONLY=NAME: one of them;"
	@echo "            SHORT=1: fewer rounds, wider bounds and less of it: shows only that they run)"
	@echo "make contract  at least 20,000 requests against the served description, by schemathesis"
	@echo "make fuzz   every fuzz target for FUZZ_SECONDS (600), FUZZ_JOBS at a time; corpora, findings and totals stay in target/fuzz"
	@echo "make deps   only what the other targets need from the system"

deps:
	@sh tests/support/deps.sh

demo: deps
	$(CARGO) build --release --locked --workspace --bins
	$(DEMO) demo --sigillo $(SIGILLO)

run: deps
	$(CARGO) build --release --locked --workspace --bins
	$(DEMO) demo --sigillo $(SIGILLO) --keep-running

test: deps
	$(CARGO) fmt --all --check
	/usr/bin/python3 tests/vectors/make.py --check
	sh tests/support/schemathesis.sh
	$(CARGO) test --workspace --locked
	sh tests/support/kryoptic.sh
	SIGILLO_HSM=kryoptic $(CARGO) test --locked --test hsm
	SIGILLO_HSM=p11-kit $(CARGO) test --locked --test hsm
	SIGILLO_HSM=p11-kit $(CARGO) test --locked --test api -- $(ON_FILES)

lint: deps
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed: cargo install --locked cargo-deny"; fi

bench: deps $(SLOW_HSM)
	$(CARGO) build --release --locked --workspace --bins
	rm -rf target/bench-policies
	target/release/decisions --at target/bench-policies
	target/release/sigillo-bench report --sigillo $(SIGILLO) $(if $(PEERS),--peers target/peers) $(if $(BEFORE),--before $(BEFORE)) \
		$(if $(FULL),--grow 10000000 --cache-mib 8192 --soak 1800) $(ARGS) \
		--delaying-module $(SLOW_HSM) --delaying-environment SIGILLO_SHIM_DELAY_US=500 \
		--delaying-environment 'SIGILLO_SHIM_MODULE={module}'

$(SLOW_HSM): tests/shim/faults.c | deps
	@mkdir -p $(@D)
	cc -std=gnu11 -Wall -Wextra -Wno-unused-value -O2 -fPIC -shared -fvisibility=hidden -o $@ $< -ldl -lpthread

# Times are for reading; counts are compared, and more than before is a failure.
bench-micro:
	@sh tests/support/deps.sh valgrind
	$(CARGO) build --release --locked --bin sigillo
	$(CARGO) bench --locked -p sigillo-bench --bench micro
	$(CARGO) bench --locked -p sigillo-bench --bench micro -- instructions $(if $(RECORD),--record)

# Every proof, one report: target/proofs/report.md. An interrupted run goes on where it was. ONLY='NAME NAME' takes some. SHORT=1 has
# fewer rounds and wider bounds, and leaves parts out: it shows that the proofs run.
prove:
	@sh tests/support/deps.sh g++
	$(CARGO) build --release --locked --workspace --bins
	target/release/prove $(if $(SHORT),--short) $(foreach name,$(ONLY),--only $(name))

# The long form of tests/api/contract.rs, with its counts.
contract: deps
	sh tests/support/schemathesis.sh
	SIGILLO_CONTRACT=20000 $(CARGO) test --release --locked --test api -- contract:: --nocapture

# With the stable toolchain; cargo-fuzz is installed in target/fuzz where it is missing. FUZZ_TARGETS names some of the targets.
fuzz:
	@sh tests/support/deps.sh g++
	sh fuzz/run.sh
