#!/bin/sh
# Plays recorded answers of AWS against the service, and prints what matched: see
# handbook/fidelity.md. CASES names another file of cases.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
if [ -n "${CASES:-}" ]; then
	case $CASES in
	/*) export SSMRUN_CASES="$CASES" ;;
	*) export SSMRUN_CASES="$(pwd)/$CASES" ;;
	esac
fi
export SSMRUN_CONFORMANCE_REPORT="$work/report" SSMRUN_NOT_RUN="$work/not-run"
status=0
go test -count=1 -timeout 10m -run '^TestConformance$' ./internal/conformance >"$work/log" 2>&1 || status=$?
if [ -s "$work/report" ]; then
	cat "$work/report"
elif [ -s "$work/not-run" ]; then
	sed 's/^/NOT RUN  /' "$work/not-run"
	[ "${CI:-}" != true ] || status=1
else
	cat "$work/log"
fi
exit "$status"
