# gmp_shim - builds libgmp_shim.so (asm + core + shim), libgmpcore.a (asm +
# core, for the unit tests) and everything that tests them.
#
#   make                    the library and the core archive
#   make check              layers, exports, unit and preload tests: under a
#                           minute; make check-all adds the real programs
#   make asan ubsan tsan    the unit tests under a sanitizer
#   make model              the Promela models, with spin
#   make check-ab           the tests of gmp-ab
#   make bench              test/bench natively and under the library, in some
#                           minutes; BENCH=regex selects, RUNS=n (5)
#   make bench-compare BASELINE=file    against an older build/bench.json
#   make bench-programs     programs that others wrote, in half an hour
#   make bench-reference    and with goroutines: docs/reference.md, half an hour
#   make CC=clang B=build/clang
#   make V=1                full commands;   make print-CFLAGS  one variable
#
# Objects never land in the tree: everything goes to $(B).

.SUFFIXES:
.DELETE_ON_ERROR:
# One goal that needs nothing, so that "make" alone means "make all".
.PHONY: all
all:

B      ?= build
ARCH   ?= x86_64
PREFIX ?= /usr/local
RUSTC  ?= rustc

# A preload left over in the environment must reach neither the compiler nor
# the test runners: the tests set it themselves, for the program under test.
unexport LD_PRELOAD

# ---- Sources: a new file in a folder is found by itself ---------------------

ASM_SRC     := $(wildcard asm/$(ARCH)/*.S)
CORE_SRC    := $(wildcard core/*.c)
SHIM_SRC    := $(wildcard shim/*.c)
UNIT_SRC    := $(wildcard test/unit/*.c)
PRELOAD_SRC := $(wildcard test/preload/*.c)

# The tests in which no context switch happens: ThreadSanitizer follows host
# threads only, and would see a G that moved as a race.
TSAN_UNIT := $(patsubst %,test/unit/%.c,netpoll runq sema timer)

ASM_OBJ  := $(ASM_SRC:%.S=$(B)/%.o)
CORE_OBJ := $(CORE_SRC:%.c=$(B)/%.o)
SHIM_OBJ := $(SHIM_SRC:%.c=$(B)/%.o)
UNIT_OBJ := $(UNIT_SRC:%.c=$(B)/%.o)

LIB     := $(B)/libgmp_shim.so
CORE    := $(B)/libgmpcore.a
UNIT    := $(B)/test/unit/unit
PRELOAD := $(B)/test/preload/preload
LAUNCH  := $(B)/gmp-ab-launch

# What of shim/ the unit tests need beside the core.
UNIT_SHIM_OBJS ?= $(patsubst %.c,$(B)/%.o, \
                    $(wildcard shim/identity.c shim/images.c shim/real.c))

# ---- Flags ------------------------------------------------------------------

WARN := -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wundef
OPT  ?= -O2 -g

# Unwind tables also in asm and core: an exception, a cancellation or a
# debugger walks through our frames on its way to the application's.
BASE := -std=gnu11 $(OPT) -fPIC -fvisibility=hidden \
        -fasynchronous-unwind-tables -I. -MMD -MP

# SAN=address|undefined|thread is set by the targets asan, ubsan and tsan.
ifdef SAN
BASE    += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=$(SAN)
ifeq ($(SAN),thread)
# It does not model fences: those order atomics only, which it does not report.
WARN    += $(if $(findstring clang,$(CC)),,-Wno-tsan)
endif
endif

# No stack protector below the shim: its canary is read from the thread
# pointer, which changes in the middle of these functions; and a check that
# fails calls libc.  No fortify: its *_chk functions are libc's too.
CORE_CFLAGS := $(BASE) $(WARN) -fno-stack-protector -U_FORTIFY_SOURCE
# Exceptions and forced unwinds (pthread_exit, pthread_cancel) pass through
# the shim's frames, and its cleanups have to run.
# Deprecated functions have to be interposed all the same.
SHIM_CFLAGS := $(BASE) $(WARN) -fexceptions -D_GNU_SOURCE \
               -Wno-deprecated-declarations

# What we call of our own is ours, whatever the program exports by that name.
LIB_LDFLAGS := -shared -Wl,-soname,libgmp_shim.so -Wl,-Bsymbolic-functions \
               -Wl,--version-script=shim/libgmp_shim.map \
               -Wl,-z,defs,-z,now,-z,relro,-z,nodelete \
               -Wl,--hash-style=gnu

# Criterion's test macros make functions without prototypes.
UNIT_CFLAGS    := $(filter-out -Wmissing-prototypes,$(BASE) $(WARN)) -pthread
PRELOAD_CFLAGS := $(UNIT_CFLAGS) \
                  -DBUILD_DIR='"$(abspath $(B))"' -DSRC_DIR='"$(CURDIR)"'

# The programs in test/posix are what a user would compile: ordinary flags.
POSIX_CFLAGS := -O2 -g -Wall -pthread -MMD -MP
POSIX_LIBS   := -ldl -lrt -lm

# ---- Printing ---------------------------------------------------------------

ifeq ($(V),1)
Q   :=
say := @:
else
Q   := @
say := @printf '  %-7s %s\n'
endif
ifneq ($(findstring s,$(firstword -$(MAKEFLAGS))),)
say := @:
endif

print-%:
	@printf '%s\n' '$($*)'

# ---- The library and the core archive ---------------------------------------

all: $(LIB) $(CORE) $(LAUNCH)

# Objects follow a change of compiler or flags, not only of sources.
FLAGS := $(B)/.flags
FLAGS_NOW := $(CC) $(OPT) $(SAN) $(CFLAGS) $(CPPFLAGS) $(CORE_CFLAGS)
.PHONY: FORCE
$(FLAGS): FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS_NOW)' | cmp -s - $@ || \
	  printf '%s\n' '$(FLAGS_NOW)' >$@

$(ASM_OBJ): $(B)/%.o: %.S $(FLAGS)
	$(say) AS $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CORE_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(CORE_OBJ): $(B)/%.o: %.c $(FLAGS)
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CORE_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(SHIM_OBJ): $(B)/%.o: %.c $(FLAGS)
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(SHIM_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(LIB): $(ASM_OBJ) $(CORE_OBJ) $(SHIM_OBJ) shim/libgmp_shim.map
	$(say) LINK $@
	$(Q)$(CC) $(LIB_LDFLAGS) $(LDFLAGS) $(filter %.o,$^) -ldl -lpthread -o $@

# Static: it starts what gmp-ab measures, and is not to be preloaded itself.
$(LAUNCH): scripts/gmpab/launch.c $(FLAGS)
	$(say) CC $<
	$(Q)$(CC) -std=gnu11 $(OPT) $(WARN) -static $< -o $@

# Made anew each time: ar would keep the objects of sources since deleted.
$(CORE): $(ASM_OBJ) $(CORE_OBJ)
	$(say) AR $@
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# ---- Unit and preload tests (Criterion) -------------------------------------

$(UNIT_OBJ): $(B)/%.o: %.c $(FLAGS)
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

# The runner's arena and ThreadSanitizer want the same addresses: see there.
TSAN_OBJ := $(if $(filter thread,$(SAN)),$(B)/test/tsan_arena.o)
$(TSAN_OBJ): $(B)/%.o: %.c $(FLAGS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(UNIT): $(UNIT_OBJ) $(TSAN_OBJ) $(UNIT_SHIM_OBJS) $(CORE)
	$(say) LINK $@
	$(Q)$(CC) -pthread $(LDFLAGS) $^ -lcriterion -ldl -o $@

PRELOAD_OBJ := $(PRELOAD_SRC:%.c=$(B)/%.o)
$(PRELOAD_OBJ): $(B)/%.o: %.c $(FLAGS)
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(PRELOAD_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(PRELOAD): $(PRELOAD_OBJ)
	$(say) LINK $@
	$(Q)$(CC) -pthread $(LDFLAGS) $^ -lcriterion -ldl -o $@

# ---- test/posix: ordinary programs, run natively and under the preload ------

# lib*.c is opened at run time by the program that tests dlopen, or linked where
# it says so below.
POSIX_SO  := $(patsubst %.c,$(B)/%.so,$(wildcard test/posix/lib*.c))
POSIX_C   := $(patsubst %.c,$(B)/%, \
               $(filter-out test/posix/lib%,$(wildcard test/posix/*.c)))
POSIX_CXX := $(patsubst %.cc,$(B)/%,$(wildcard test/posix/*.cc))
POSIX_RS  := $(patsubst %.rs,$(B)/%,$(wildcard test/posix/*.rs))
ifeq ($(shell command -v $(RUSTC)),)
ifneq ($(POSIX_RS),)
$(info no $(RUSTC): test/posix/*.rs are left out)
endif
POSIX_RS :=
endif
POSIX := $(POSIX_SO) $(POSIX_C) $(POSIX_CXX) $(POSIX_RS)

$(POSIX_SO): $(B)/%.so: %.c
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(POSIX_CFLAGS) -MF $@.d -shared -fPIC $< $(POSIX_LINK) -o $@

$(B)/test/posix/openmp: POSIX_CFLAGS += -fopenmp

$(POSIX_C): $(B)/%: %.c
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(POSIX_CFLAGS) -MF $@.d $< $(POSIX_LINK) $(POSIX_LIBS) -o $@

$(POSIX_CXX): $(B)/%: %.cc
	$(say) CXX $<
	@mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 $(POSIX_CFLAGS) -MF $@.d $< $(POSIX_LINK) $(POSIX_LIBS) -o $@

$(POSIX_RS): $(B)/%: %.rs
	$(say) RUSTC $<
	@mkdir -p $(@D)
	$(Q)MAKEFLAGS= $(RUSTC) -O --edition 2021 -o $@ $<

# The programs about GMP_SHIM_BLOCKING: each way to link with the same library. They
# find it in a folder of its own: what else is here only libblocking_near finds.
BLOCKING      := $(B)/test/posix/libblocking.so
BLOCKING_LAZY := $(addprefix $(B)/test/posix/, \
                   blocking blocking_cxx libblocking_far.so)
BLOCKING_NOW  := $(addprefix $(B)/test/posix/,blocking_now libblocking_near.so)
$(BLOCKING_LAZY) $(BLOCKING_NOW): $(B)/test/posix/linked/libblocking.so
$(BLOCKING): POSIX_LINK := -Wl,-soname,libblocking.so
$(BLOCKING_LAZY): POSIX_LINK = -Wl,-z,relro,-z,lazy $(BLOCKING_LINK)
$(BLOCKING_NOW): POSIX_LINK = -Wl,-z,relro,-z,now $(BLOCKING_LINK)
BLOCKING_LINK = -Wl,--no-as-needed $(BLOCKING) \
                -Wl,--enable-new-dtags,-rpath,'$$ORIGIN$(if $(filter %.so,$@),,/linked)'

$(B)/test/posix/linked/libblocking.so: $(BLOCKING)
	@mkdir -p $(@D)
	$(Q)ln -sf ../$(<F) $@

# ---- test/bench: ordinary programs, to be measured ---------------------------

BENCH_C   := $(patsubst %.c,$(B)/%,$(wildcard test/bench/*.c))
BENCH_CXX := $(patsubst %.cc,$(B)/%,$(wildcard test/bench/*.cc))
BENCH_BIN := $(BENCH_C) $(BENCH_CXX)

BENCH_CFLAGS := $(POSIX_CFLAGS) -Wextra -Werror
$(B)/test/bench/barrier: BENCH_CFLAGS += -fopenmp

$(BENCH_C): $(B)/%: %.c $(FLAGS)
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(BENCH_CFLAGS) -MF $@.d $< -o $@

$(BENCH_CXX): $(B)/%: %.cc $(FLAGS)
	$(say) CXX $<
	@mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 $(BENCH_CFLAGS) -MF $@.d $< -o $@

# The same workloads with goroutines, for a comparison with them.
GO       ?= go
GO_SRC   := $(wildcard test/bench/go/*.go)
GO_BENCH := $(B)/test/bench/go/bench
$(GO_BENCH): $(GO_SRC)
	$(say) GO test/bench/go
	@mkdir -p $(@D)
	$(Q)$(GO) build -o $@ $(GO_SRC)

RUNS       ?= 5
BENCH_JSON := $(B)/bench.json
AB         := scripts/gmp-ab

.PHONY: benches bench bench-compare
benches: $(BENCH_BIN)

bench: $(LIB) $(LAUNCH) benches
	$(Q)BIN='$(abspath $(B))/test/bench' GMP_SHIM_LIB='$(abspath $(LIB))' \
	  $(AB) --suite test/bench/suite --runs $(RUNS) \
	  $(if $(BENCH),--only '$(BENCH)') \
	  --json $(BENCH_JSON) --html $(B)/bench.html

.PHONY: bench-programs
bench-programs: export WORK := $(abspath $(B))/bench-programs
bench-programs: export PROGRAMS := $(CURDIR)/test/bench/programs
bench-programs: $(LIB) $(LAUNCH) benches
	$(Q)$(PROGRAMS)/prepare
	$(Q)BIN='$(abspath $(B))/test/bench' GMP_SHIM_LIB='$(abspath $(LIB))' \
	  $(AB) --suite $(PROGRAMS)/suite --runs $(RUNS) \
	  $(if $(BENCH),--only '$(BENCH)') \
	  --json $(B)/bench-programs.json --html $(B)/bench-programs.html

# Against Go, too: half an hour, on a quiet machine. REFERENCE=folder for another one.
REFERENCE ?= docs
.PHONY: bench-reference
bench-reference: $(LIB) $(LAUNCH) benches $(GO_BENCH)
	$(Q)BIN='$(abspath $(B))/test/bench' GO='$(abspath $(GO_BENCH))' \
	  GMP_SHIM_LIB='$(abspath $(LIB))' \
	  $(AB) --suite test/bench/reference --runs $(RUNS) --timeout 120 \
	  $(if $(BENCH),--only '$(BENCH)') \
	  --note Go="$$($(GO) env GOVERSION)" \
	  --json $(B)/reference.json --markdown '$(REFERENCE)/reference.md'

$(BENCH_JSON):
	$(Q)$(MAKE) bench

bench-compare: $(BENCH_JSON)
	$(if $(BASELINE),,$(error which one? make bench-compare BASELINE=file))
	$(Q)$(AB) --compare '$(BASELINE)' $(BENCH_JSON)

# ---- Running the tests ------------------------------------------------------

.PHONY: tests check check-all check-layers check-exports check-unit \
        check-preload check-real check-ab model asan ubsan tsan clean install

tests: all $(BENCH_BIN) $(POSIX) $(if $(UNIT_SRC),$(UNIT)) $(if $(PRELOAD_SRC),$(PRELOAD))

check: check-layers check-exports check-unit check-preload
check-all: check model asan ubsan tsan check-real check-ab

check-layers: all
	$(Q)CC='$(CC)' scripts/check-layers $(B)

check-exports: all
	$(Q)CC='$(CC)' scripts/check-exports $(B)

# Without address randomisation: the sanitizers of gcc 12 and clang 14 do not
# know how far newer kernels scatter mappings.
NORANDOM = $(if $(SAN),$(shell setarch -R true 2>/dev/null && echo setarch -R))
# Leaks are off: the core keeps its Gs, Ms and stacks in pools for ever.  A
# race has to end the test: the runner does not look at exit codes.
SAN_ENV := ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
           TSAN_OPTIONS=halt_on_error=1
check-unit: $(if $(UNIT_SRC),$(UNIT))
	$(if $(UNIT_SRC),$(Q)$(if $(SAN),$(SAN_ENV)) $(NORANDOM) \
	  $(UNIT) $(UNIT_ARGS),@echo 'no unit tests here')

# The environment names the folders too, so that a test binary can be moved.
check-preload: tests
	$(if $(PRELOAD_SRC),$(Q)BUILD_DIR='$(abspath $(B))' SRC_DIR='$(CURDIR)' \
	  $(PRELOAD) $(or $(PRELOAD_ARGS),--filter '!(real)/*'),\
	  @echo 'no preload tests here')

# The scripts in test/real: real programs, natively and under the preload.
check-real:
	$(Q)$(MAKE) check-preload PRELOAD_ARGS="--filter 'real/*'"

# Debian's Python, for its packages.  No cache of theirs in the tree.
check-ab: all benches $(if $(shell command -v $(GO)),$(GO_BENCH))
	$(Q)BUILD_DIR='$(abspath $(B))' /usr/bin/python3 -B -m pytest -q \
	  -p no:cacheprovider $(AB_ARGS) test/ab

asan:
	$(Q)$(MAKE) B=$(B)/asan SAN=address check-unit
ubsan:
	$(Q)$(MAKE) B=$(B)/ubsan SAN=undefined check-unit
tsan:
	$(Q)$(MAKE) B=$(B)/tsan SAN=thread \
	  UNIT_SRC='$(wildcard $(TSAN_UNIT))' check-unit

# ---- Models -----------------------------------------------------------------

# Each model holds, and each of its variants with a known fault does not.
model:
	$(Q)CC='$(CC)' test/model/run

# ---- The rest ---------------------------------------------------------------

install: $(LIB) $(LAUNCH)
	install -d $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/bin \
	  $(DESTDIR)$(PREFIX)/share/gmp_shim/gmpab/page
	install -m 755 $(LIB) $(LAUNCH) $(DESTDIR)$(PREFIX)/lib
	install -m 755 scripts/gmp-run scripts/gmp-ab $(DESTDIR)$(PREFIX)/bin
	install -m 644 scripts/gmpab/*.py $(DESTDIR)$(PREFIX)/share/gmp_shim/gmpab
	install -m 644 scripts/gmpab/page/* \
	  $(DESTDIR)$(PREFIX)/share/gmp_shim/gmpab/page

clean:
	rm -rf $(B)

-include $(ASM_OBJ:.o=.d) $(CORE_OBJ:.o=.d) $(SHIM_OBJ:.o=.d)
-include $(UNIT_OBJ:.o=.d) $(PRELOAD_OBJ:.o=.d)
-include $(addsuffix .d,$(POSIX_SO) $(POSIX_C) $(POSIX_CXX) $(BENCH_BIN))
