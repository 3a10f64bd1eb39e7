.PHONY: test-big
test-big: setup-test ## Uploads and downloads of gigabytes, films of every kind (part of test-long)
	@$(MAKE) --no-print-directory -j"$$(nproc)" build
	@tests/run-integration tests/long
