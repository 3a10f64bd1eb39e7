# Kills, stops and restarts under load: a workload, a nemesis and a checker. CHAOS_FAULTS selects.
.PHONY: chaos test-chaos
chaos: setup-test ## Everything broken, singly and in pairs, under load: a quarter of an hour (CHAOS_FAULTS selects)
	@$(MAKE) --no-print-directory -j"$$(nproc)" build
	@tests/chaos/run
	@CHAT_CROWD=500 tests/run-integration tests/integration/test_chat_resume.py

test-chaos: setup-test ## A minute of it, and the checker's own tests: part of make test
	@$(MAKE) --no-print-directory -j"$$(nproc)" build
	@tests/run-integration tests/chaos
