#!/bin/sh
# tool.sh NAME: builds a tool of tools/go.mod when it is missing, and prints its
# path as the last line of standard output.
set -eu
me=tool.sh
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"

name=${1:-}
# The last element of a package's path is the tool's name.
packages=$(awk '
	$1 == "tool" && $2 == "(" { inside = 1; next }
	$1 == "tool" { print $2 }
	inside && $1 == ")" { inside = 0 }
	inside { print $1 }
' "$here/go.mod")
package=
for one in $packages; do
	if [ "${one##*/}" = "$name" ]; then package=$one; fi
done
if [ -z "$package" ]; then
	die "unknown tool \"$name\": take one of $(printf '%s\n' "$packages" | sed 's|.*/||' | tr '\n' ' ')"
fi

case $name in
golangci-lint) usual='1 to 2 minutes on 2 cores' ;;
*) usual='less than a minute' ;;
esac

build() { go_build "$here" "$1" '' "$package"; }

# The version of Go counts: a linter cannot read what a newer Go has compiled.
hash=$(cd "$here" && printf '%s\n' go.mod go.sum | short_hash "$build_flags" "$(go env GOVERSION GOHOSTOS GOHOSTARCH)")
program=$(cache_root)/$name-$hash/$name
cached "$program" "$usual" build
printf '%s\n' "$program"
