SERVICES += gateway
gateway_PARTS := exchange.c head.c tally.c own.c health.c request.c reply.c edge_metrics.c listener.c connections.c upstream.c \
	auth.c credentials.c jwt_keys.c csrf.c grants.c key_usage.c rates.c tables.c dialect.c problems.c profiles.c \
	cors.c address.c assets.c backends.c answer.c relay.c relay_direct.c events.c stream_reader.c \
	socket.c socket_upgrade.c socket_io.c socket_frame.c socket_request.c socket_login.c socket_attach.c \
	ring.c ring_apply.c ring_frames.c ring_hold.c ring_tail.c topics.c
gateway_SOURCES := main.c gateway.c $(gateway_PARTS)
# It speaks to domains by tables alone: no proto of theirs is linked.
gateway_PROTOS :=
gateway_TESTS := csrf_test tally_test dialect_test rates_test policy_test answer_test auth_test http_test http_auth_test socket_test socket_rules_test \
	ring_test ring_random_test
gateway_csrf_test_LINKS := csrf.c
gateway_tally_test_LINKS := tally.c
gateway_dialect_test_LINKS := dialect.c problems.c tables.c rates.c
gateway_rates_test_LINKS := rates.c
gateway_policy_test_LINKS := address.c profiles.c cors.c dialect.c
gateway_answer_test_LINKS := answer.c
gateway_auth_test_LINKS := auth.c credentials.c jwt_keys.c grants.c upstream.c
gateway_ring_test_LINKS := ring.c ring_apply.c ring_frames.c ring_hold.c ring_tail.c topics.c ring_fixture.c
gateway_ring_random_test_LINKS := $(gateway_ring_test_LINKS)
gateway_http_test_LINKS := $(gateway_PARTS) gateway.c edge_fixture.c http_fixture.c
gateway_http_auth_test_LINKS := $(gateway_PARTS) gateway.c edge_fixture.c http_fixture.c
gateway_socket_test_LINKS := $(gateway_PARTS) gateway.c edge_fixture.c socket_fixture.c socket_client.c
gateway_socket_rules_test_LINKS := $(gateway_socket_test_LINKS)
gateway_LIBS := -lwslay
