# make help lists the targets. `make demo` and `make test` are the two to know.
.POSIX:
.SUFFIXES:

VERSION = 0.1.0
LDFLAGS = -s -w -X ssmrun/internal/cli.Version=$(VERSION) -X ssmrun/internal/agent.Version=$(VERSION) -X ssmrun/internal/provider.Version=$(VERSION)
GOBUILD = CGO_ENABLED=0 go build -ldflags "$(LDFLAGS)"

.PHONY: help build cross demo test conformance bench lint docs tidy fuzz terraform install clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile

build: ## build ssmrun, ssmrun-agent and the Terraform provider into bin/
	@mkdir -p bin
	$(GOBUILD) -o bin/ssmrun ./cmd/ssmrun
	$(GOBUILD) -o bin/ssmrun-agent ./cmd/ssmrun-agent
	$(GOBUILD) -o bin/terraform-provider-ssmrun ./cmd/terraform-provider-ssmrun

cross: ## build the agent for other systems, and compile its tests (CROSS=all: every program and architecture)
	@sh tools/cross.sh $(CROSS)

demo: ## apply the reference page's four examples with a real Terraform, on this machine
	@sh examples/demo.sh

test: ## run all tests; fetches what they need
	@sh tools/test.sh

conformance: ## compare answers with recorded ones of AWS (CASES=FILE for others)
	@CASES='$(CASES)' sh tools/conformance.sh

bench: ## measure, and print tables (see handbook/performance.md)
	@sh bench/bench.sh

lint: ## formatting, vet and linters
	@sh tools/lint.sh

docs: ## generate docs/ from the provider's schema and templates/
	@sh tools/docs.sh

tidy: ## tidy the modules
	go mod tidy

fuzz: ## fuzz every target for a little while (FUZZTIME=10s)
	@sh tools/fuzz.sh

terraform: ## build a real Terraform where there is none; its path is the last line
	@sh tools/terraform/build.sh

install: ## put the provider into your own filesystem mirror, and ssmrun into GOBIN
	@VERSION=$(VERSION) LDFLAGS='$(LDFLAGS)' sh tools/install.sh

clean: ## remove what was built here
	rm -rf bin dist
