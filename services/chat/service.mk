SERVICES += chat
# Found by their names: handlers and what they use; stores (store_<subject>.c); tests, all with a real PostgreSQL.
chat_NAMES := $(filter-out %_fuzz.c,$(notdir $(wildcard services/chat/*.c)))
chat_PARTS := $(filter-out main.c fixture.c %_test.c,$(chat_NAMES))
chat_SOURCES := main.c $(chat_PARTS)
# Those with rpcs.
chat_PROTOS := $(patsubst proto/%,%,$(filter-out %/events.proto %/chat.proto,$(wildcard proto/atrium/chat/v1/*.proto)))
chat_TESTS := $(basename $(filter %_test.c,$(chat_NAMES)))
$(foreach t,$(chat_TESTS),$(eval chat_$(t)_LINKS := $(chat_PARTS) fixture.c))
