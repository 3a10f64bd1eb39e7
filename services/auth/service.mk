SERVICES += auth
# Found by their names, so that a new subject is a new file and nothing else: handlers and what they use; stores
# (store_<subject>.c; some have a fake, the others are tested with a real PostgreSQL); tests.
auth_NAMES := $(filter-out %_fuzz.c,$(notdir $(wildcard services/auth/*.c)))
auth_FAKED_STORES := store.c store_registration.c store_defence.c
auth_HANDLERS := $(filter-out main.c purge.c store%.c %_test.c,$(auth_NAMES))
auth_STORES := $(filter-out $(auth_FAKED_STORES) store_fake.c store_schema.c %_test.c,$(filter store%.c,$(auth_NAMES)))
auth_SOURCES := main.c purge.c $(auth_FAKED_STORES) $(auth_STORES) $(auth_HANDLERS)
auth_PROTOS := $(patsubst proto/%,%,$(wildcard proto/atrium/auth/v1/*.proto))
auth_TESTS := $(basename $(filter %_test.c,$(auth_NAMES)))
# With the store in memory: handlers of accounts and logins. All others with a real PostgreSQL. The dispatch table, which
# every test links, needs all handlers, and they need all stores.
auth_FAKED := accounts_test logins_test youtubetalker_test passwords_test text_test
$(foreach t,$(auth_FAKED),$(eval auth_$(t)_LINKS := $(auth_HANDLERS) $(auth_STORES) store_fake.c))
$(foreach t,$(filter-out $(auth_FAKED),$(auth_TESTS)),$(eval auth_$(t)_LINKS := $(auth_HANDLERS) $(auth_STORES) \
	$(auth_FAKED_STORES) store_schema.c purge.c))
auth_LIBS := -lcrypt -lfido2
