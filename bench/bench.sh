#!/bin/sh
# Measures, and prints a table: see handbook/performance.md for what each row is.
# Only the programs as they are shipped are measured: no race detector.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
echo "building the programs"
CGO_ENABLED=0 go build -ldflags '-s -w' -o "$work/" ./cmd/...
terraform=$(sh tools/terraform/find.sh) || terraform=$(sh tools/terraform/build.sh | tail -n 1)
export SSMRUN_TEST_BIN="$work" SSMRUN_TEST_TERRAFORM="$terraform" SSMRUN_BENCH=1
exec go test -count=1 -timeout 60m -run '^TestTable$' ./bench -v
