#!/bin/sh
# javascript.sh: installs AWS's SDK for JavaScript when it is missing, and prints
# the folder (node_modules) as the last line of standard output. The versions are
# those of e2e/testdata/javascript/package-lock.json; npm's registry is the one that
# npm is set up for. Exit code 3: there is no npm, or no Node 18 or newer.
set -eu
me=javascript
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
source=$here/../e2e/testdata/javascript

command -v npm >/dev/null 2>&1 || { say 'no npm on PATH'; exit 3; }
major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p')
[ "${major:-0}" -ge 18 ] || { say "no node on PATH that is 18 or newer (found: ${major:-none})"; exit 3; }

folder=$(cache_root)/javascript-$(cd "$source" && printf '%s\n' package.json package-lock.json | short_hash)
if [ ! -d "$folder/node_modules" ]; then
	mkdir -p "$(dirname "$folder")" || die "cannot make the cache: set SSMRUN_CACHE to a folder that can be written"
	work=$(mktemp -d "$folder.making.XXXXXX")
	trap 'rm -rf "$work"' EXIT HUP INT TERM
	cp "$source/package.json" "$source/package-lock.json" "$work/"
	say 'installing: usually takes 10 s'
	(cd "$work" && npm ci --no-audit --no-fund --omit=dev --ignore-scripts --loglevel=error) >&2 ||
		die "not installed, see above; npm's registry ($(npm config get registry)) must be reachable"
	# Of two that install at the same time, one gets the name; the other's is as good.
	mv "$work" "$folder" 2>/dev/null || [ -d "$folder/node_modules" ] || die "cannot move what was installed to $folder"
fi
printf '%s\n' "$folder/node_modules"
