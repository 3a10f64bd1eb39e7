# Atrium's one Makefile. `make help` explains the targets; each service adds itself by services/<name>/service.mk.
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

# B is where everything is built; sanitizer builds have folders of their own: make BUILD=asan|cov|tsan|release …
# cov is asan that counts the lines that ran.
BUILD ?= release
B_release := build
B_asan := build/asan
B_tsan := build/tsan
B_cov := build/cov
B := $(B_$(BUILD))
ifeq ($(B),)
$(error BUILD=$(BUILD): use release, asan, cov or tsan)
endif
G := build/gen

VERSION ?= $(shell cat VERSION)
COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
BUILD_DATE ?= $(shell date -u +%Y-%m-%dT%H:%M:%SZ)

CC := gcc
WARN := -Wall -Wextra -Wshadow -Wvla -Wundef -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Werror
CPPFLAGS := -I. -I$(G) -D_GNU_SOURCE
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DATRIUM_ASAN
CFLAGS_cov := $(CFLAGS_asan) --coverage -fprofile-update=atomic
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS := -std=gnu17 $(CFLAGS_$(BUILD)) -pthread
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_cov := $(LDFLAGS_asan) --coverage
LDFLAGS_tsan := -fsanitize=thread
LDFLAGS := $(LDFLAGS_$(BUILD)) -pthread
PKGS := libprotobuf-c libpq hiredis libcurl libsodium jansson libmicrohttpd libcrypto zlib expat
# Silent where they are missing: `make setup` and `make help` work without.
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lnats
CPPFLAGS += $(shell pkg-config --cflags $(PKGS) 2>/dev/null)

# ---------------------------------------------------------------------------------------------------- what there is
PLATFORM_PROTOS := $(patsubst proto/%,%,$(wildcard proto/atrium/*.proto))
DOMAIN_PROTOS := $(patsubst proto/%,%,$(wildcard proto/atrium/*/v1/*.proto))
WELL_KNOWN := google/protobuf/descriptor google/protobuf/struct google/protobuf/timestamp google/protobuf/duration \
	google/protobuf/field_mask google/protobuf/wrappers google/protobuf/empty google/protobuf/any
PLATFORM_STEMS := $(PLATFORM_PROTOS:.proto=) google/api/http $(WELL_KNOWN)
DOMAIN_STEMS := $(DOMAIN_PROTOS:.proto=)

SERVICES :=
include $(wildcard services/*/service.mk)

SHARED_SRC := $(filter-out %_test.c %_fuzz.c %_fixture.c,$(wildcard shared/*.c))
SHARED_TESTS := $(wildcard shared/*_test.c)
# Two libraries: the platform's, and what is generated for the domains. The gateway links only the first, so that a new
# rpc in any domain does not rebuild it.
DOMAINS_SHARED := shared/erasure.c shared/migrate.c
LIB_SRC := $(filter-out $(DOMAINS_SHARED),$(SHARED_SRC)) $(PLATFORM_STEMS:%=$(G)/%.pb-c.c) $(G)/atrium/reasons.atrium.c
LIB := $(B)/libatrium.a
DOMAINS_SRC := $(DOMAIN_STEMS:%=$(G)/%.pb-c.c) $(DOMAIN_STEMS:%=$(G)/%.atrium.c) $(DOMAINS_SHARED) $(G)/migrations.c
DOMAINS_LIB := $(B)/libatrium-domains.a

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------------------------------------------- the proto toolchain
# Generated files come before anything that is compiled. Four stamps stand for them, the platform's and the domains'
# apart: an edit in a domain touches nothing of the platform.
PLUGIN := build/bin/protoc-gen-atrium
PLUGIN_SRC := $(filter-out %_test.c,$(wildcard tools/protoc-gen-atrium/*.c)) shared/arena.c shared/slice.c shared/strbuf.c
PLUGIN_PB := google/protobuf/descriptor google/protobuf/compiler/plugin google/api/http atrium/options atrium/tables
PROTO_PATH := -Iproto -I/usr/include
C_KEYWORDS := auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long
C_KEYWORDS := $(C_KEYWORDS)|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned
C_KEYWORDS := $(C_KEYWORDS)|void|volatile|while

# Generates into a fresh folder beside, then takes over what differs: what did not change is not compiled again.
NEW = $(G).new$(@F)
define start_new
@rm -rf $(NEW) && mkdir -p $(G) $(NEW)
endef
define take_over
@(cd $(NEW) && find . -type f) | while read -r f; do \
	cmp -s "$(NEW)/$$f" "$(G)/$$f" || { mkdir -p "$$(dirname "$(G)/$$f")"; cp "$(NEW)/$$f" "$(G)/$$f"; }; done
@rm -rf $(NEW)
@touch $@
endef

$(G)/.platform-pb: $(PLATFORM_PROTOS:%=proto/%) proto/google/api/http.proto
	@echo "  PROTO   $(words $(PLATFORM_PROTOS)) files of the platform"
	$(start_new)
	@protoc $(PROTO_PATH) --c_out=$(NEW) $(PLATFORM_PROTOS) google/api/http.proto \
		google/protobuf/compiler/plugin.proto $(WELL_KNOWN:%=%.proto)
	$(take_over)

$(G)/.domains-pb: $(DOMAIN_PROTOS:%=proto/%) $(G)/.platform-pb
	@echo "  PROTO   $(words $(DOMAIN_PROTOS)) files of domains"
	$(start_new)
	@protoc $(PROTO_PATH) --c_out=$(NEW) $(DOMAIN_PROTOS)
	@# protobuf-c makes structs of services, with rpcs for members; nobody uses them, but Register must compile.
	@sed -i -E 's/\(\*($(C_KEYWORDS))\)\(/(*\1_)(/' $(NEW)/atrium/*/v1/*.pb-c.h
	$(take_over)

$(PLUGIN): $(PLUGIN_SRC) $(wildcard tools/protoc-gen-atrium/*.h) $(G)/.platform-pb
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) -std=gnu17 -O1 -g $(CPPFLAGS) $(WARN) -o $@ $(PLUGIN_SRC) $(PLUGIN_PB:%=$(G)/%.pb-c.c) -lprotobuf-c

$(G)/.reasons: $(PLUGIN)
	$(start_new)
	@protoc $(PROTO_PATH) --plugin=$(PLUGIN) --atrium_out=c:$(NEW) atrium/reasons.proto
	$(take_over)

$(G)/.atrium: $(PLUGIN) $(G)/.domains-pb
	@echo "  GEN     tables, handlers, stubs, OpenAPI, AsyncAPI, bus permissions"
	$(start_new)
	@protoc $(PROTO_PATH) --plugin=$(PLUGIN) --atrium_out=c:$(NEW) $(DOMAIN_PROTOS)
	@protoc $(PROTO_PATH) --plugin=$(PLUGIN) --atrium_out=platform,tables=$(NEW)/gateway.tables:$(NEW) \
		atrium/reasons.proto $(DOMAIN_PROTOS)
	$(take_over)

$(G)/migrations.c: tools/embed-migrations $(wildcard shared/migrations/*.sql) $(wildcard services/*/migrations/*.sql)
	@mkdir -p $(@D)
	@tools/embed-migrations > $@

# Every service's settings in one list, for the union that a configuration file is checked against.
$(G)/settings_all.h: $(wildcard services/*/settings*.def) Makefile
	@mkdir -p $(@D)
	@for f in $(sort $(wildcard services/*/settings.def)); do echo "#include \"$$f\""; done > $@

GENERATED := $(addprefix $(G)/,.platform-pb .domains-pb .reasons .atrium migrations.c settings_all.h)
.PHONY: generate
generate: $(GENERATED) ## Generated sources, tables and documents (build/gen)
# Headers too: a parallel make would else look at them before they are made. The recipe does nothing but is not empty:
# make then looks whether the file really changed, instead of taking it for new.
$(foreach x,c h,$(PLATFORM_STEMS:%=$(G)/%.pb-c.$(x))): $(G)/.platform-pb ; $(nothing)
$(foreach x,c h,$(DOMAIN_STEMS:%=$(G)/%.pb-c.$(x))): $(G)/.domains-pb ; $(nothing)
$(G)/atrium/reasons.atrium.c $(G)/atrium/reasons.atrium.h: $(G)/.reasons ; $(nothing)
$(foreach x,atrium.c atrium.h service.c service.h,$(DOMAIN_STEMS:%=$(G)/%.$(x))): $(G)/.atrium ; $(nothing)

# ---------------------------------------------------------------------------------------------------- compiling
VERSION_DEFINES = -DATRIUM_VERSION='"$(VERSION)"' -DATRIUM_COMMIT='"$(COMMIT)"' -DATRIUM_BUILD_DATE='"$(BUILD_DATE)"'
$(B)/obj/shared/service.o $(B)/obj/tools/atrium/main.o: CPPFLAGS += $(VERSION_DEFINES)

$(B)/obj/build/gen/%.o: build/gen/%.c | $(GENERATED)
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -MP -c -o $@ $<

LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o)
DOMAINS_OBJ := $(DOMAINS_SRC:%.c=$(B)/obj/%.o)
$(LIB): $(LIB_OBJ)
$(DOMAINS_LIB): $(DOMAINS_OBJ)
$(LIB) $(DOMAINS_LIB):
	@echo "  AR      $@"
	@rm -f $@ && ar rcs $@ $^

# A service: its own sources, the generated dispatch tables of its protos, and the libraries.
BINS :=
define service_rules
$(1)_OBJ := $$($(1)_SOURCES:%.c=$(B)/obj/services/$(1)/%.o) $$($(1)_PROTOS:%.proto=$(B)/obj/$(G)/%.service.o)
$(1)_ARCHIVES := $$(if $$($(1)_PROTOS),$(DOMAINS_LIB)) $(LIB)
BINS += $(B)/bin/$(1)
$(B)/bin/$(1): $$($(1)_OBJ) $$($(1)_ARCHIVES)
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$($(1)_OBJ) $$($(1)_ARCHIVES) $$(LIBS) $$($(1)_LIBS)
.PHONY: $(1)
$(1): $(B)/bin/$(1)
endef
$(foreach s,$(SERVICES),$(eval $(call service_rules,$(s))))

# Small programs that a service starts, of one source each, without the libraries: transcode_HELPERS, transcode_image_LIBS.
# And those that only its tests start: transcode_TEST_HELPERS, beside the tests.
# Never with sanitizers: they run with limited address space, where shadow memory has no room.
define helper_rules
$(B)/obj/services/$(1)/$(2).o: private CFLAGS := -std=gnu17 $(CFLAGS_release) -pthread
$(3): private LDFLAGS := $(LDFLAGS_release) -pthread
$(3): $(B)/obj/services/$(1)/$(2).o
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$< $$($(1)_$(2)_LIBS)
endef
$(foreach s,$(SERVICES),$(foreach h,$($(s)_HELPERS),$(eval BINS += $(B)/bin/$(s)-$(h))\
	$(eval $(call helper_rules,$(s),$(h),$(B)/bin/$(s)-$(h)))))
$(foreach s,$(SERVICES),$(foreach h,$($(s)_TEST_HELPERS),$(eval $(call helper_rules,$(s),$(h),$(B)/test/$(s)/$(h)))))

TOOL_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(filter-out %_test.c,$(wildcard tools/atrium/*.c)))
$(B)/bin/atrium-tool: LIBS += -lcrypt -lwslay
$(B)/bin/atrium-tool: $(TOOL_OBJ) $(DOMAINS_LIB) $(LIB)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(LDFLAGS) -o $@ $(TOOL_OBJ) $(DOMAINS_LIB) $(LIB) $(LIBS)

.PHONY: build
build: $(BINS) $(B)/bin/atrium-tool ## All programs (BUILD=asan or tsan for sanitizer builds)

# ---------------------------------------------------------------------------------------------------- unit tests
# shared/x_test.c links the library, and the fixture that it shares with others. A service says in service.mk which of its sources a test links: auth_store_test_LINKS
UNIT_TESTS := $(SHARED_TESTS:shared/%.c=$(B)/test/shared/%)
$(addprefix $(B)/test/shared/,bytes_test bytes_transfer_test): $(B)/obj/shared/bytes_fixture.o
$(addprefix $(B)/test/shared/,rpc_test rpc_lanes_test rpc_keyed_test): $(B)/obj/shared/rpc_fixture.o
$(B)/test/shared/%: $(B)/obj/shared/%.o $(DOMAINS_LIB) $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(DOMAINS_LIB) $(LIB) $(LIBS) -lcmocka

define service_test_rules
UNIT_TESTS += $(B)/test/$(1)/$(2)
$(B)/test/$(1)/$(2): $(B)/obj/services/$(1)/$(2).o $$($(1)_$(2)_LINKS:%.c=$(B)/obj/services/$(1)/%.o) \
		$$($(1)_PROTOS:%.proto=$(B)/obj/$(G)/%.service.o) $(DOMAINS_LIB) $(LIB)
	@mkdir -p $$(@D)
	@$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(DOMAINS_LIB) $(LIB) $$(LIBS) $$($(1)_LIBS) -lcmocka
endef
$(foreach s,$(SERVICES),$(foreach t,$($(s)_TESTS),$(eval $(call service_test_rules,$(s),$(t)))))

.PHONY: test-unit
test-unit: $(UNIT_TESTS) $(BINS) $(foreach s,$(SERVICES),$($(s)_TEST_HELPERS:%=$(B)/test/$(s)/%)) ## Unit tests, with private PostgreSQL, NATS and Redis
	@tests/run-units $(UNIT_TESTS)

# ---------------------------------------------------------------------------------------------------- the stack
.PHONY: setup
setup: ## Installs the Debian packages that are missing
	@deploy/local/setup

.PHONY: setup-test
setup-test: ## The same, with those that tests, lint and benchmarks need
	@deploy/local/setup test

.PHONY: up
up: setup ## Builds and starts the platform on this machine
	@$(MAKE) --no-print-directory -j"$$(nproc)" build
	@bin/atrium up

.PHONY: down
down: ## Stops it; its data stays
	@bin/atrium down

# ---------------------------------------------------------------------------------------------------- tests
.PHONY: test
test: setup-test ## All suites: units, generator, properties, fuzz targets for a moment, black box, credentials
	@tests/run-all

.PHONY: test-integration
test-integration: setup-test ## The black-box suites (ATRIUM_URL and NATS_URL: against a deployed stack)
	@$(MAKE) --no-print-directory -j"$$(nproc)" build
	@tests/run-integration

.PHONY: test-asan
test-asan: setup-test ## Unit tests under address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory BUILD=asan test-unit

.PHONY: test-tsan
test-tsan: setup-test ## Unit tests of threaded code under thread sanitizer
	@$(MAKE) --no-print-directory BUILD=tsan test-unit

.PHONY: test-long
test-long: setup-test ## What takes long: sanitizers, the suites against sanitizer builds, chaos
	@$(MAKE) --no-print-directory test-asan
	@$(MAKE) --no-print-directory BUILD=asan build
	@ATRIUM_BUILD=$(CURDIR)/build/asan tests/run-integration
	@RELAY_TEST_BYTES=5368709120 tests/run-integration tests/integration/test_relay.py -k large_file -s
	@$(MAKE) --no-print-directory fuzz-sockets
	@$(MAKE) --no-print-directory chaos
	@ATRIUM_BUILD=$(CURDIR)/build/asan tests/run-integration tests/hostile
	@$(MAKE) --no-print-directory test-rolling
	@$(MAKE) --no-print-directory test-s3
	@$(MAKE) --no-print-directory $(B)/test/shared/blob_fs_test && BLOB_TEST_LARGE=1 $(B)/test/shared/blob_fs_test
	@$(MAKE) --no-print-directory test-big

# The gateway's own files, without what speaks to the bus.
BENCH_CREDENTIALS_OBJ := $(B)/obj/tests/bench/credentials.o \
	$(addprefix $(B)/obj/services/gateway/,auth.o credentials.o jwt_keys.o grants.o)
$(B)/bench/credentials: $(BENCH_CREDENTIALS_OBJ) $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# The data plane by itself.
$(B)/bench/bytes: $(B)/obj/tests/bench/bytes.o $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: bench
bench: setup-test ## Speed beside a bare reference, goals beside figures (BENCH_ONLY=base,sweep,idle,logins,pairs,credentials,bytes,relay,media,transcode,soak)
	@$(MAKE) --no-print-directory -j"$$(nproc)" build $(B)/bench/credentials $(B)/bench/bytes
	@tests/bench/run

.PHONY: lint
lint: setup-test ## clang-format, clang-tidy, cppcheck, shellcheck, yamllint
	@$(MAKE) --no-print-directory generate
	@tests/lint

# Suites and deployments with targets of their own.
include $(wildcard tests/*/*.mk deploy/*/*.mk)

.PHONY: clean
clean: ## Removes everything that was built (not the stack's data)
	rm -rf build

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
