SERVICES += events
# Found by their names: handlers and what they use; stores (store_<subject>.c); tests, all with a real PostgreSQL.
events_NAMES := $(filter-out %_fuzz.c,$(notdir $(wildcard services/events/*.c)))
events_PARTS := $(filter-out main.c fixture.c seed.c %_test.c,$(events_NAMES))
events_SOURCES := main.c $(events_PARTS)
# Those with rpcs.
events_PROTOS := $(patsubst proto/%,%,$(shell grep -l '^service ' proto/atrium/events/v1/*.proto))
events_LIBS := -lm -lxml2 -licuuc
# Entities of HTML are libxml2's.
$(B)/obj/services/events/text.o: CPPFLAGS += $(shell pkg-config --cflags libxml-2.0 2>/dev/null)
events_TESTS := $(basename $(filter %_test.c,$(events_NAMES)))
$(foreach t,$(events_TESTS),$(eval events_$(t)_LINKS := $(events_PARTS) fixture.c seed.c))
