#!/bin/sh
# Fuzzes every target of the module for FUZZTIME each (default 5s), and goes on
# after one that fails; the exit code tells of it. What failed lies in the
# package's testdata/fuzz: commit it with the repair. Go before 1.27 may take the
# end of the time for a failure (go.dev/issue/75804): it then tells of nothing but
# the deadline and writes no input, and that is none.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-5s}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grep -rl --include='*_test.go' '^func Fuzz' . | sort | while IFS= read -r file; do
	dir=$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while IFS= read -r target; do
		echo "==> $dir $target"
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir" </dev/null >"$work/log" 2>&1; then
			tail -n 2 "$work/log"
		elif [ "$(grep -A1 '^--- FAIL' "$work/log" | tail -n 1)" = '    context deadline exceeded' ] && ! grep -q 'Failing input written' "$work/log"; then
			echo "nothing found; Go took the end of the time for a failure"
		else
			cat "$work/log"
			echo "$dir $target" >>"$work/failed"
		fi
	done
done
if [ -s "$work/failed" ]; then
	echo "fuzzing found something in:" >&2
	cat "$work/failed" >&2
	exit 1
fi
