# Fuzz targets: the parsers of outside bytes, by clang's libFuzzer with address and undefined-behaviour sanitizers.
# A target is its own sources (beside the parser) and, at need, sources of its service; all link the whole library.
F := build/fuzz
FUZZ_SECONDS ?= 600
FUZZ_SHORT_SECONDS ?= 10
comma := ,
FUZZ_CC := clang
FUZZ_CFLAGS := -std=gnu17 -O1 -gline-tables-only -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -pthread -DATRIUM_ASAN
FUZZ_DEFINES := -DFUZZ_TABLES='"$(CURDIR)/$(F)/tables/features.tables"' -DFUZZ_REAL_TABLES='"$(CURDIR)/$(G)/gateway.tables"'

json_read_FUZZ := shared/json_read_fuzz.c
json_write_FUZZ := shared/json_write_fuzz.c
types_FUZZ := shared/types_fuzz.c
message_FUZZ := shared/message_fuzz.c
values_FUZZ := shared/values_fuzz.c
jwt_FUZZ := shared/jwt_fuzz.c
jws_FUZZ := shared/jws_fuzz.c
caller_FUZZ := shared/caller_fuzz.c
api_key_FUZZ := shared/api_key_fuzz.c
blob_record_FUZZ := shared/blob_record_fuzz.c
blob_s3_FUZZ := shared/blob_s3_fuzz.c
sigv4_FUZZ := shared/sigv4_fuzz.c
config_FUZZ := shared/config_fuzz.c
multipart_FUZZ := shared/multipart_fuzz.c
tus_FUZZ := shared/tus_fuzz.c
rpc_dispatch_FUZZ := shared/rpc_dispatch_fuzz.c
# What would be published is looked at instead.
rpc_dispatch_FUZZ_LDFLAGS := -Wl,--wrap=bus_publish_lossy,--wrap=bus_discard
client_FUZZ := shared/client_fuzz.c
# The connection, and time.
client_FUZZ_LDFLAGS := $(addprefix -Wl$(comma)--wrap=,natsConnection_Subscribe bus_publish bus_publish_lossy nats_Sleep \
	client_now_ms client_cond_wait)
routes_FUZZ := shared/routes_fuzz.c
ticket_FUZZ := shared/ticket_fuzz.c
bytes_range_FUZZ := shared/bytes_range_fuzz.c
gateway_tables_FUZZ := services/gateway/tables_fuzz.c $(addprefix services/gateway/,tables.c rates.c dialect.c)
gateway_request_FUZZ := services/gateway/request_fuzz.c \
	$(addprefix services/gateway/,request.c problems.c dialect.c tables.c rates.c)
gateway_reply_FUZZ := services/gateway/reply_fuzz.c tests/fuzz/json_check.c \
	$(addprefix services/gateway/,reply.c problems.c dialect.c tables.c rates.c cors.c csrf.c)
gateway_reply_FUZZ_LDFLAGS := -Wl,--wrap=MHD_create_response_from_buffer
gateway_answer_FUZZ := services/gateway/answer_fuzz.c services/gateway/answer.c
gateway_auth_FUZZ := services/gateway/auth_fuzz.c \
	$(addprefix services/gateway/,auth.c credentials.c jwt_keys.c grants.c key_usage.c)
gateway_socket_FUZZ := services/gateway/socket_fuzz.c \
	$(addprefix services/gateway/,socket.c address.c tally.c socket_io.c socket_frame.c socket_request.c socket_login.c socket_attach.c \
	stream_reader.c tables.c rates.c dialect.c)
# The bus is the script's, and pauses are over at once.
gateway_socket_FUZZ_LDFLAGS := -lwslay $(addprefix -Wl$(comma)--wrap=,bus_instance bus_publish_lossy loop_timer_set)
auth_requests_FUZZ := services/auth/requests_fuzz.c \
	$(addprefix services/auth/,$(auth_HANDLERS) $(auth_STORES) store_fake.c) $(auth_PROTOS:%.proto=$(G)/%.service.c)
auth_requests_FUZZ_LDFLAGS := $(auth_LIBS)
auth_text_FUZZ := services/auth/text_fuzz.c services/auth/text.c
auth_oidc_FUZZ := services/auth/oidc_fuzz.c $(filter-out services/auth/requests_fuzz.c,$(auth_requests_FUZZ))
auth_oidc_FUZZ_LDFLAGS := $(auth_LIBS)
auth_webauthn_FUZZ := services/auth/webauthn_fuzz.c services/auth/webauthn.c
auth_webauthn_FUZZ_LDFLAGS := -lfido2
zone_FUZZ := shared/zone_fuzz.c
events_rrule_FUZZ := services/events/rrule_fuzz.c $(addprefix services/events/,rrule.c recurrence.c)
events_ical_FUZZ := services/events/ical_fuzz.c \
	$(addprefix services/events/,ical_read.c ical_events.c ical_write.c rrule.c recurrence.c)
media_vtt_FUZZ := services/media/vtt_fuzz.c services/media/vtt.c
media_cursor_FUZZ := services/media/lists_fuzz.c services/media/lists.c
events_node_FUZZ := services/events/node_fuzz.c $(addprefix services/events/,terms.c node.c node_json.c)
events_members_FUZZ := services/events/members_fuzz.c services/events/members.c
events_negotiate_FUZZ := services/events/negotiate_fuzz.c services/events/negotiate.c
events_feed_FUZZ := services/events/feed_ask_fuzz.c services/events/feed_ask.c services/events/lifecycle.c
events_rdf_FUZZ := services/events/rdf_fuzz.c $(addprefix services/events/,rdf.c terms.c node.c node_json.c)
events_rdf_FUZZ_LDFLAGS := -lm
events_html_FUZZ := services/events/html_fuzz.c services/events/html.c
chat_command_FUZZ := services/chat/command_fuzz.c $(addprefix services/chat/,command.c session.c status.c)
chat_livekit_FUZZ := services/chat/livekit_fuzz.c services/chat/livekit.c
chat_mentions_FUZZ := services/chat/mentions_fuzz.c $(addprefix services/chat/,mentions.c terms.c)
transcode_boxes_FUZZ := services/transcode/boxes_fuzz.c services/transcode/boxes.c services/transcode/hls.c
transcode_boxes_FUZZ_LDFLAGS := -lm
transcode_probe_FUZZ := services/transcode/probe_fuzz.c $(addprefix services/transcode/,probe.c encode.c sniff.c child.c)
transcode_probe_FUZZ_LDFLAGS := -lm
transcode_intake_FUZZ := services/transcode/intake_fuzz.c $(addprefix services/transcode/,$(transcode_PARTS))
transcode_intake_FUZZ_LDFLAGS := -lm
events_filters_FUZZ := services/events/filters_fuzz.c $(addprefix services/events/,filters.c events.c lifecycle.c)
events_batch_FUZZ := services/events/batch_fuzz.c services/events/batch_split.c
events_submission_FUZZ := services/events/submission_fuzz.c $(addprefix services/events/,submission_read.c \
	submission_parts.c submission_check.c text.c urls.c when.c codes.c findings.c boundary.c terms.c lifecycle.c \
	recurrence.c rrule.c)
events_submission_FUZZ_LDFLAGS := -lxml2 -licuuc
events_text_FUZZ := services/events/text_fuzz.c services/events/text.c
events_text_FUZZ_LDFLAGS := -lxml2 -licuuc
$(F)/obj/services/events/text.o: CPPFLAGS += $(shell pkg-config --cflags libxml-2.0 2>/dev/null)
FUZZ_TARGETS := $(sort $(patsubst %_FUZZ,%,$(filter %_FUZZ,$(.VARIABLES))))

# Tables for protobuf-c, which is not instrumented either: without, they are compiled in a quarter of the time.
$(F)/obj/build/gen/%.pb-c.o: build/gen/%.pb-c.c | $(GENERATED)
	@mkdir -p $(@D)
	@$(FUZZ_CC) $(CPPFLAGS) -std=gnu17 -O1 -MMD -MP -c -o $@ $<

$(F)/obj/build/gen/%.o: build/gen/%.c | $(GENERATED)
	@mkdir -p $(@D)
	@$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(F)/obj/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	@echo "  FUZZ CC $<"
	@$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_DEFINES) $(FUZZ_CFLAGS) $(WARN) -MMD -MP -c -o $@ $<

$(F)/libatrium.a: $(LIB_SRC:%.c=$(F)/obj/%.o) $(DOMAINS_SRC:%.c=$(F)/obj/%.o)
	@echo "  AR      $@"
	@rm -f $@ && ar rcs $@ $^

# The generator's features, since the domains' own routes do not use all of them. protoc grumbles that tables are no text.
$(F)/tables/features.tables: build/gen/.atrium $(wildcard tests/generator/protos/atrium/*/v1/*.proto)
	@mkdir -p $(@D)
	@protoc $(PROTO_PATH) -Itests/generator/protos --plugin=$(PLUGIN) --atrium_out=platform,tables=$@:$(@D) \
		atrium/reasons.proto atrium/helper/v1/helper.proto atrium/features/v1/features.proto 2>&1 \
		| grep -v 'contains invalid UTF-8 data' >&2 || test -s $@

define fuzz_rules
$(F)/bin/$(1): $$($(1)_FUZZ:%.c=$(F)/obj/%.o) $(F)/libatrium.a | $(F)/tables/features.tables
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	@$(FUZZ_CC) -fsanitize=fuzzer,address,undefined $$($(1)_FUZZ_LDFLAGS) -pthread -o $$@ $$(filter %.o %.a,$$^) \
		$(LIBS) -lcmocka
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_rules,$(t))))

# A crash that was put there, which the harness must find: without that flag nothing is planted anywhere.
$(F)/bin/planted: tests/fuzz/planted_fuzz.c
	@mkdir -p $(@D)
	@$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer $(WARN) -DATRIUM_PLANTED_BUG -o $@ $<

.PHONY: fuzz-build fuzz fuzz-short
fuzz-build: $(FUZZ_TARGETS:%=$(F)/bin/%) $(F)/bin/planted
fuzz: setup-test ## Each fuzz target for FUZZ_SECONDS (600)
	@$(MAKE) --no-print-directory fuzz-build
	@tests/fuzz/run $(FUZZ_TARGETS) planted $(FUZZ_SECONDS)
fuzz-short: ## The same way each time, FUZZ_SHORT_SECONDS (10) each: part of make test
	@$(MAKE) --no-print-directory fuzz-build
	@FUZZ_SEED=1 tests/fuzz/run $(FUZZ_TARGETS) planted $(FUZZ_SHORT_SECONDS)

# The WebSocket protocol, whole, against a stack with sanitizers that counts lines; then against a gateway with a bug.
B_PLANTED := $(B)/planted
$(B_PLANTED)/bin/gateway: $(B)/obj/tests/fuzz/planted_frames.o $(BINS) $(B)/bin/atrium-tool
	@mkdir -p $(@D)
	@ln -sf $(abspath $(filter-out %/gateway,$(filter $(B)/bin/%,$^))) $(@D)
	@echo "  LD      $@"
	@$(CC) $(LDFLAGS) -Wl,--wrap=wslay_event_context_server_init -o $@ $< $(gateway_OBJ) $(gateway_ARCHIVES) $(LIBS) $(gateway_LIBS)

.PHONY: fuzz-sockets fuzz-sockets-build
fuzz-sockets-build: $(B_PLANTED)/bin/gateway
fuzz-sockets: setup-test ## Clients of chat's gateway that say anything, under sanitizers, FUZZ_SECONDS long; with coverage
	@$(MAKE) --no-print-directory BUILD=cov fuzz-sockets-build
	@tests/fuzz/sockets $(FUZZ_SECONDS)

-include $(shell find $(F)/obj -name '*.d' 2>/dev/null)
