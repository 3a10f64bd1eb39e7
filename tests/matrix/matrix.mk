# Who may do what, written by hand. An rpc without a row in callers.csv fails the build.
build/gen/.matrix: build/gen/.atrium tests/matrix/callers.csv tests/matrix/check
	@tests/matrix/check
	@touch $@
build: build/gen/.matrix

.PHONY: test-matrix
test-matrix: setup-test ## Each credential, role and kind of caller against all that it may and may not do
	@$(MAKE) --no-print-directory build
	@tests/run-integration tests/matrix

# docs/examples/subscriber: outside subscribers, which tests/matrix runs.
.PHONY: example-subscriber test-subscriber-npm
example-subscriber: $(B)/bin/example-subscriber
$(B)/bin/example-subscriber: docs/examples/subscriber/subscriber.c $(DOMAINS_LIB) $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) $(LDFLAGS) -o $@ $< $(DOMAINS_LIB) $(LIB) -lnats -lprotobuf-c

test-subscriber-npm: ## The examples again, with the one that takes its NATS client from npm
	@$(MAKE) --no-print-directory build example-subscriber
	@mkdir -p build/test/npm && cp docs/examples/subscriber/subscriber.mjs build/test/npm/
	@cd build/test/npm && npm install --no-audit --no-fund --silent @nats-io/transport-node@3
	@ATRIUM_NPM=1 tests/run-integration tests/matrix/test_subscribers.py
