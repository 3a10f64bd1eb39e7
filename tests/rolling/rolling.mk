.PHONY: test-rolling
test-rolling: setup-test ## 20,000 requests while gateways and auth are replaced five times each: none fails
	@$(MAKE) --no-print-directory build
	@ROLLING=full tests/run-integration tests/rolling
