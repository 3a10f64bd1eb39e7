.PHONY: test-hostile
test-hostile: setup-test ## Malformed, oversized, slow and too many requests: answered, and nobody else notices
	@$(MAKE) --no-print-directory build
	@tests/run-integration tests/hostile
