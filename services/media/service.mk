SERVICES += media
# Found by their names: handlers and what they use; stores (store_<subject>.c); tests, all with a real PostgreSQL.
media_NAMES := $(filter-out %_fuzz.c,$(notdir $(wildcard services/media/*.c)))
media_PARTS := $(filter-out main.c store_schema.c %_test.c,$(media_NAMES))
media_SOURCES := main.c $(media_PARTS)
# Those with rpcs.
media_PROTOS := $(patsubst proto/%,%,$(filter-out %/events.proto,$(wildcard proto/atrium/media/v1/*.proto)))
media_LIBS := -lmagic
media_TESTS := $(basename $(filter %_test.c,$(media_NAMES)))
$(foreach t,$(media_TESTS),$(eval media_$(t)_LINKS := $(media_PARTS) store_schema.c))
