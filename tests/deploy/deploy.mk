# Images, and tests of what is deployed. Both suites fetch: Debian's packages into images, checkers from npm.
CONTAINER_ENGINE ?= ../shared/tools/container-engine
export CONTAINER_ENGINE := $(abspath $(CONTAINER_ENGINE))
DEPLOY_BUILD := VERSION='$(VERSION)' COMMIT='$(COMMIT)' BUILD_DATE='$(BUILD_DATE)'

.PHONY: images
images: ## All container images, by the engine at hand
	@$(DEPLOY_BUILD) KEEP_ENGINE=yes tests/deploy/with-engine tests/deploy/images || \
		{ code=$$?; [ $$code != 77 ] || echo "There is no container engine here." >&2; exit $$code; }

.PHONY: test-compose
test-compose: setup-test ## The compose stack on a real engine, and the integration suites through its proxy
	@$(DEPLOY_BUILD) tests/deploy/run-compose

.PHONY: test-chart
test-chart: setup-test generate ## Chart, Dockerfile, compose file and workflows by third-party checkers and our tables
	@tests/deploy/run-chart
