#!/bin/sh
# build.sh: builds a Terraform from Go modules when it is missing, and prints its
# path as the last line of standard output. A development tool: README.md.
#
#   TERRAFORM=PROGRAM        checks this one and prints its path: nothing is built
#   TERRAFORM_VERSION=1.14.9 builds another version than go.mod's
#   SSMRUN_CACHE=DIR         the cache (default ${XDG_CACHE_HOME:-$HOME/.cache}/ssmrun)
set -eu
me=terraform
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/../lib.sh"
. "$here/lib.sh"

if [ -n "${TERRAFORM:-}" ]; then
	given
	exit
fi

version=$(wanted_version)
module=github.com/hashicorp/terraform

# build OUTPUT. Another version than the committed one is built in a copy of this
# module whose indirect requirements are resolved anew.
build() {
	source=$here
	if [ "$version" != "$(default_version)" ]; then
		source=$work/module
		mkdir "$source" || return
		cp -R "$here/stubs" "$source/stubs" || return
		sed '/\/\/ indirect$/d' "$here/go.mod" >"$source/go.mod" || return
		(cd "$source" && go mod edit -require="$module@v$version" && GOWORK=off go mod tidy) >&2 || return
	fi
	go_build "$source" "$1" "$ldflags" "$module" || return
	[ "$(version_of "$1")" = "$version" ] || {
		say "the program that was built does not answer as Terraform $version"
		return 1
	}
}

program=$(built_path "$version")
cached "$program" '2 to 4 minutes on 2 cores' build
printf '%s\n' "$program"
