#!/bin/sh
# Fuzzes every target of the module for FUZZTIME each (default 5s).
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-5s}
grep -rl --include='*_test.go' '^func Fuzz' . | while IFS= read -r file; do
	dir=$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while IFS= read -r target; do
		echo "==> $dir $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir" </dev/null | tail -n 2
	done
done
