#!/bin/sh
# Runs every test. Fetches what they need where that is allowed (as root on
# Debian), and lists last what could not run and how to enable it. In CI
# (CI=true) such a gap is a failure.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
work=$(mktemp -d)
tidy() {
	# Wine's own processes outlive the programs.
	[ -z "${SSMRUN_TEST_WINE_BIN:-}" ] || WINEPREFIX="$work/wine/prefix" "$(dirname "$SSMRUN_TEST_WINE_BIN")/wineserver" -k || true
	rm -rf "$work"
}
trap tidy EXIT INT TERM
export SSMRUN_NOT_RUN="$work/not-run" SSMRUN_CONFORMANCE_REPORT="$work/conformance"
: >"$SSMRUN_NOT_RUN"

say() { printf '==> %s\n' "$*"; }
not_run() { printf '%s\n' "$*" >>"$SSMRUN_NOT_RUN"; }

# install NAME PACKAGES...: gets Debian packages where this user may.
install() {
	what=$1
	shift
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
		say "installing Debian packages for $what: $*"
		if [ ! -e "$work/apt-updated" ]; then
			apt-get update -qq >"$work/apt.log" 2>&1 || { tail -n 5 "$work/apt.log"; return 1; }
			: >"$work/apt-updated"
		fi
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >"$work/apt.log" 2>&1 || { tail -n 5 "$work/apt.log"; return 1; }
	else
		return 1
	fi
}

race=-race
if ! command -v "$(go env CC)" >/dev/null 2>&1 || ! printf '#include <stdlib.h>\nint main(void){return 0;}\n' | "$(go env CC)" -xc -o "$work/cc" - 2>/dev/null; then
	install "the race detector" gcc libc6-dev || true
fi
if printf '#include <stdlib.h>\nint main(void){return 0;}\n' | "$(go env CC)" -xc -o "$work/cc" - 2>/dev/null; then
	export CGO_ENABLED=1
else
	race=
	not_run "the race detector: no C compiler; enable with: apt-get install gcc libc6-dev (as root)"
fi

# Debian's clients, even where others come first on PATH.
[ -x /usr/bin/aws ] || install "the AWS CLI" awscli || true
/usr/bin/python3 -c 'import boto3' 2>/dev/null || install "boto3" python3-boto3 || true
command -v npm >/dev/null 2>&1 || install "AWS's SDK for JavaScript" nodejs npm || true
say "AWS's SDK for JavaScript"
if modules=$(sh tools/javascript.sh | tail -n 1) && [ -d "$modules" ]; then
	export SSMRUN_TEST_JAVASCRIPT="$modules"
fi


if [ ! -x /usr/lib/wine/wine64 ] && ! command -v wine64 >/dev/null 2>&1; then
	install "the agent's Windows code" wine64 || true
fi
say "the agent for Windows, and Wine: half a minute, 2 the first time"
if wine=$(sh tools/wine.sh "$work/wine" | tail -n 1) && [ -x "$wine" ]; then
	export SSMRUN_TEST_WINE="$work/wine" SSMRUN_TEST_WINE_BIN="$wine"
fi

say "a real Terraform"
if terraform=$(sh tools/terraform/build.sh | tail -n 1) && [ -x "$terraform" ]; then
	export SSMRUN_TEST_TERRAFORM="$terraform"
else
	not_run "the tests with a real Terraform: it could not be built; try: make terraform"
fi

say "building the programs under test${race:+, with the race detector}: 2 to 5 minutes the first time, else seconds"
mkdir "$work/bin"
go build $race -o "$work/bin/" ./cmd/...
export SSMRUN_TEST_BIN="$work/bin"

say "go test${race:+ with the race detector}: usually takes 9 minutes on 2 cores; packages are listed as they end"
status=0
# shellcheck disable=SC2086
go test $race -timeout 20m ${TESTFLAGS:-} ./... || status=$?

for module in tools tools/terraform; do
	if ls "$module"/*_test.go >/dev/null 2>&1; then
		say "go test in $module"
		(cd "$root/$module" && go test ./...) || status=$?
	fi
done

if [ -s "$SSMRUN_CONFORMANCE_REPORT" ]; then
	say "recorded answers of AWS"
	cat "$SSMRUN_CONFORMANCE_REPORT"
fi

if [ -s "$SSMRUN_NOT_RUN" ]; then
	echo
	sort -u "$SSMRUN_NOT_RUN" | sed 's/^/NOT RUN  /'
	if [ "${CI:-}" = true ]; then
		echo "In CI everything has to run."
		[ "$status" != 0 ] || status=1
	fi
fi
[ "$status" = 0 ] && say "all tests passed" || say "tests failed"
exit "$status"
