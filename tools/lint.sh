#!/bin/sh
# Formatting, vet, linters, tidy modules, generated files. Prints what differs.
set -eu
cd "$(dirname "$0")/.."
status=0
step() {
	printf '==> %s\n' "$1"
	shift
	"$@" || { status=1; echo "    failed: $*"; }
}
formatted() {
	out=$("$(sh tools/tool.sh gofumpt | tail -n 1)" -l $(git ls-files '*.go'))
	[ -z "$out" ] || { printf 'not formatted (gofumpt -w):\n%s\n' "$out"; return 1; }
}
tidy() { go mod tidy -diff; }
generated() {
	sh tools/docs.sh >/dev/null && git diff --exit-code --stat -- docs
}
linters() { "$(sh tools/tool.sh golangci-lint | tail -n 1)" run ./...; }
step "gofumpt" formatted
step "go vet" go vet ./...
step "the agent for other systems, and its size" sh tools/cross.sh
step "go mod tidy makes no difference" tidy
step "generated documentation is up to date" generated
step "golangci-lint" linters
exit "$status"
