#!/bin/sh
# find.sh: prints a Terraform with actions that can be used at once: $TERRAFORM, else
# one on PATH, else the one that build.sh has built. Exit code 3 and no output: there
# is none, build.sh would build it. Exit code 2: TERRAFORM cannot serve, and why.
# With TERRAFORM_VERSION one on PATH must be of that version.
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

# Every folder of PATH is looked at: an old Terraform may stand before a new one.
old_ifs=$IFS
IFS=:
for folder in $PATH; do
	program=$folder/terraform
	case $program in
	/*) ;;
	*) continue ;; # a relative entry is another program in each folder
	esac
	if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
	found=$(version_of "$program")
	has_actions "$found" || continue
	if [ -n "${TERRAFORM_VERSION:-}" ] && [ "$found" != "$version" ]; then continue; fi
	printf '%s\n' "$program"
	exit
done
IFS=$old_ifs

program=$(built_path "$version")
if [ -x "$program" ]; then
	printf '%s\n' "$program"
	exit
fi
exit 3
