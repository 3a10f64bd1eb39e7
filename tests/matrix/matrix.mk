# Who may do what, written by hand. An rpc without a row in callers.csv fails the build.
build/gen/.matrix: build/gen/.atrium tests/matrix/callers.csv tests/matrix/check
	@tests/matrix/check
	@touch $@
build: build/gen/.matrix

.PHONY: test-matrix
test-matrix: setup-test ## Each credential, role and kind of caller against all that it may and may not do
	@$(MAKE) --no-print-directory build
	@tests/run-integration tests/matrix
