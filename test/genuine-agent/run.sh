#!/bin/sh
# Asks of amazon-ssm-agent, unmodified, and of this project's agent what an agent
# has to do, over both channels, and prints a table. Wants root and Linux: that
# agent's paths are fixed, so it runs in mount and process namespaces.
#
#   sh test/genuine-agent/run.sh FOLDER              the checks
#   sh test/genuine-agent/run.sh FOLDER --record     new records into testdata
#
# FOLDER holds amazon-ssm-agent, ssm-agent-worker, ssm-document-worker and
# ssm-session-worker. A run takes about eight minutes.
set -eu
if [ $# -lt 1 ] || [ ! -x "$1/amazon-ssm-agent" ]; then
	echo "usage: sh test/genuine-agent/run.sh FOLDER [--record]; FOLDER holds the programs of amazon-ssm-agent" >&2
	exit 2
fi
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
	echo "run.sh: amazon-ssm-agent runs as root in namespaces of its own, which this user may not make: run it as root" >&2
	exit 2
fi
SSMRUN_GENUINE_AGENT=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
export SSMRUN_GENUINE_AGENT
if [ "${2:-}" = --record ]; then
	SSMRUN_GENUINE_RECORD=$(pwd)/test/genuine-agent/testdata
	export SSMRUN_GENUINE_RECORD
	exec go test -count=1 -timeout 10m -run 'TestRecord|TestReplay' ./test/genuine-agent
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
SSMRUN_AGENT_REPORT=$work/table
export SSMRUN_AGENT_REPORT
status=0
go test -count=1 -timeout 30m -run 'TestConformance|TestInstanceProfile' ./test/genuine-agent >"$work/log" 2>&1 || status=$?
[ "$status" = 0 ] || cat "$work/log"
cat "$work/table"
exit "$status"
