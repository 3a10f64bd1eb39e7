SERVICES += auth
auth_HANDLERS := accounts.c admin.c answers.c events.c logins.c passwords.c text.c tokens.c youtubetalker.c
auth_SOURCES := main.c purge.c store.c $(auth_HANDLERS)
auth_PROTOS := atrium/auth/v1/auth.proto
# Handlers with a store in memory, and the store with a real PostgreSQL. The dispatch table, which every test links, needs
# the handlers.
auth_TESTS := accounts_test logins_test youtubetalker_test text_test store_test purge_test
auth_accounts_test_LINKS := $(auth_HANDLERS) store_fake.c
auth_logins_test_LINKS := $(auth_accounts_test_LINKS)
auth_youtubetalker_test_LINKS := $(auth_accounts_test_LINKS)
auth_text_test_LINKS := $(auth_accounts_test_LINKS)
auth_store_test_LINKS := $(auth_HANDLERS) store.c store_schema.c
auth_purge_test_LINKS := $(auth_store_test_LINKS) purge.c
auth_LIBS :=
