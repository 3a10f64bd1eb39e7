# The echo service and its tables: for tests/integration/test_realtime.py and the benchmark of fan-out. Its proto stands
# outside of proto/, so that nothing of it ships.
ECHO := $(B)/test/realtime
ECHO_PROTO := atrium/echo/v1/echo
ECHO_PROTO_PATH := $(PROTO_PATH) -Itests/realtime/protos
ECHO_C := tests/realtime/echo.c $(addprefix $(ECHO)/gen/$(ECHO_PROTO),.pb-c.c .atrium.c .service.c)

$(ECHO)/.gen: tests/realtime/protos/$(ECHO_PROTO).proto $(PLUGIN) $(G)/.domains-pb
	@rm -rf $(ECHO)/gen && mkdir -p $(ECHO)/gen/platform
	@protoc $(ECHO_PROTO_PATH) --c_out=$(ECHO)/gen $(ECHO_PROTO).proto
	@protoc $(ECHO_PROTO_PATH) --plugin=$(PLUGIN) --atrium_out=c:$(ECHO)/gen $(ECHO_PROTO).proto
	@protoc $(ECHO_PROTO_PATH) --plugin=$(PLUGIN) --atrium_out=platform,tables=$(ECHO)/echo.tables:$(ECHO)/gen/platform \
		atrium/reasons.proto $(ECHO_PROTO).proto
	@touch $@

$(ECHO)/echo: tests/realtime/echo.c $(ECHO)/.gen $(LIB) | $(GENERATED)
	@echo "  LD      $@"
	@$(CC) -I$(ECHO)/gen $(CPPFLAGS) $(CFLAGS) $(WARN) $(LDFLAGS) -o $@ $(ECHO_C) $(LIB) $(LIBS)

.PHONY: test-helpers
test-helpers: $(ECHO)/echo
