# Everything a person does with this repository. `make demo` and `make test` set
# up what they need on a fresh Debian machine that has Go.

GO      ?= go
CLANG   ?= clang-22
STRIP   ?= llvm-strip-22
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
EXAMPLE ?= firewall
TIME    ?= 60s
FUZZ    ?= FuzzParseTargetFile
PACKAGE ?= ./fuzz/bpf

SOURCES := $(wildcard examples/*/*.bpf.c examples/puzzles/*/*.bpf.c fuzz/bpf/testdata/types/*.bpf.c fuzz/bpf/testdata/trigger/*.bpf.c fuzz/fuzztest/testdata/targets/*.bpf.c)
OBJECTS := $(SOURCES:.bpf.c=.o)

# Sources are named relative to this directory, and DWARF is stripped (BTF, with
# its line info, stays), so that a rebuild gives the same bytes anywhere.
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -std=gnu11 \
	-Wall -Wextra -Wno-unused-parameter -Werror \
	-idirafter /usr/include/$(shell uname -m)-linux-gnu \
	-ffile-prefix-map=$(CURDIR)=. -fdebug-compilation-dir=.

.PHONY: all
all: build lint test

.PHONY: build
build:
	$(GO) build ./...
	$(GO) build -o bpffuzz ./cmd/bpffuzz

# demo fuzzes an example from an empty corpus until its bug shows.
# For another one: make demo EXAMPLE=balancer
.PHONY: demo
demo: build
	@status=0; $(SUDO) ./bpffuzz run -c examples/$(EXAMPLE)/target.yaml -o out/$(EXAMPLE) \
		-d $(TIME) --stop-on-finding || status=$$?; \
	case $$status in \
	1) echo "The finding is the bug that was planted in examples/$(EXAMPLE): see its README.md." ;; \
	0) echo "Nothing was found in $(TIME)." >&2; exit 1 ;; \
	*) exit $$status ;; \
	esac

# test runs every test. As root it also runs those that need the kernel; without
# privileges these are skipped with a reason.
.PHONY: test
test:
	$(GO) test -timeout 15m ./...

# race covers the packages in which goroutines share memory and no kernel is needed.
.PHONY: race
race:
	$(GO) test -race -timeout 15m ./corpus/... ./mutate/... ./triage/... ./fuzz

# differential runs 10,000 packets through every program at hand, in batches and one
# by one; test does the same with 2,000.
.PHONY: differential
differential:
	BPFFUZZ_DIFFERENTIAL=1 $(GO) test -count=1 -run '^TestBatchRuns' $(PACKAGE)

# oracles has each oracle look for what was planted for it, and be silent for 10 million
# executions where that is mended; test does the same with 200,000.
.PHONY: oracles
oracles:
	BPFFUZZ_ORACLES=1 $(GO) test -count=1 -timeout 60m -run '^Test(OraclesFind|ProgramsOfOthers)' $(PACKAGE)

# soak has a campaign of many turns run for SOAK, and reads from the kernel that it holds no
# more of the machine at its end than in its first half.
SOAK ?= 1m
.PHONY: soak
soak:
	BPFFUZZ_SOAK=$(SOAK) $(GO) test -v -count=1 -timeout 0 -run '^Test(Soak|RunsLeave)' ./cmd/bpffuzz

# builds tries the counters of native mode in every way to build a test, and a fuzz test
# with -race; test leaves out what builds the standard library another time.
.PHONY: builds
builds:
	BPFFUZZ_BUILDS=1 $(GO) test -count=1 -run '^Test(Counter|Race)Build' ./fuzz/fuzztest

.PHONY: bench
bench:
	$(GO) test -timeout 60m -run '^$$' -bench . -benchmem ./...

# fuzz lets Go's engine look for input that makes a reader of foreign bytes panic.
# For example: make fuzz FUZZ=FuzzDecode PACKAGE=./corpus
.PHONY: fuzz
fuzz:
	$(GO) test -run '^$$' -fuzz '^$(FUZZ)$$' -fuzztime $(TIME) $(PACKAGE)

.PHONY: lint
lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@unformatted=$$($(GO) tool gofumpt -l .) && test -z "$$unformatted" || \
		{ echo "not formatted, run 'go tool gofumpt -w .':"; echo "$$unformatted"; exit 1; }

# objects rebuilds the objects of examples and tests. They are committed, so that nobody needs
# clang; build them with the version in examples/clang-version.
.PHONY: objects
objects:
	@test "$$($(CLANG) --version | head -n 1)" = "$$(cat examples/clang-version)" || \
		{ echo "objects are built with $$(cat examples/clang-version), see examples/README.md" >&2; exit 1; }
	$(MAKE) --no-print-directory --always-make $(OBJECTS)

%.o: %.bpf.c
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@.tmp
	$(STRIP) --strip-debug $@.tmp
	mv $@.tmp $@

.PHONY: clean
clean:
	rm -rf bpffuzz out
