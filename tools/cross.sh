#!/bin/sh
# usage: sh tools/cross.sh [all]
#
# Builds ssmrun-agent for every system that it is for, as it is shipped, and fails
# where one is larger than 12 MB; vets the agent's packages and compiles their
# tests for the other systems. "all" builds for the second architecture of Windows
# and macOS too, and ssmrun and the Terraform provider, which takes minutes the
# first time.
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in '' | all) ;; *) sed -n '2p' "$0" >&2; exit 2 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
export CGO_ENABLED=0
limit=12000000
status=0

targets="linux/amd64 linux/arm64 windows/amd64 darwin/arm64"
[ -z "${1:-}" ] || targets="$targets windows/arm64 darwin/amd64"
for target in $targets; do
	export GOOS="${target%/*}" GOARCH="${target#*/}"
	go build -ldflags '-s -w' -o "$work/agent" ./cmd/ssmrun-agent || { status=1; continue; }
	size=$(wc -c <"$work/agent")
	printf '%-14s ssmrun-agent %5s KB\n' "$target" "$((size / 1000))"
	if [ "$size" -gt "$limit" ]; then
		echo "cross.sh: ssmrun-agent for $target has $size bytes, more than $limit: find what came in with: go tool nm -size -sort size" >&2
		status=1
	fi
	if [ "${1:-}" = all ]; then
		go build -ldflags '-s -w' -o "$work/" ./cmd/ssmrun ./cmd/terraform-provider-ssmrun || status=1
	fi
done

packages="./internal/agent/... ./internal/agentlink/... ./internal/executor/... ./internal/wire/..."
for target in linux/arm64 windows/amd64 darwin/arm64; do
	export GOOS="${target%/*}" GOARCH="${target#*/}"
	# shellcheck disable=SC2086
	go vet ./cmd/ssmrun-agent $packages && go test -vet=off -exec true $packages >"$work/log" 2>&1 || { cat "$work/log"; status=1; }
done
exit "$status"
