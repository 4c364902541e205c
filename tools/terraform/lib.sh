# Functions for build.sh and find.sh, to be sourced after ../lib.sh, with $here set
# to this folder.

oldest=1.14 # the first Terraform with actions

# default_version prints the version that go.mod requires.
default_version() {
	awk '$1 == "require" { $1 = $2; $2 = $3 } $1 == "github.com/hashicorp/terraform" && $2 ~ /^v/ { print substr($2, 2) }' "$here/go.mod"
}

# has_actions VERSION: is it at least $oldest? The prereleases of 1.14.0 are not.
has_actions() {
	case $1 in
	0.* | 1.[0-9].* | 1.1[0-3].* | 1.14.0-*) return 1 ;;
	[1-9]*.*.*) return 0 ;;
	*) return 1 ;;
	esac
}

# version_of PROGRAM prints the version that it says it is, or nothing when it is no
# Terraform (OpenTofu has no actions). The settings keep it from asking the network,
# from warning about a missing configuration file, and from arguments of the user's.
version_of() {
	CHECKPOINT_DISABLE=1 TF_CLI_CONFIG_FILE=/dev/null TF_LOG='' TF_CLI_ARGS='' TF_CLI_ARGS_version='' \
		"$1" version </dev/null 2>/dev/null | sed -n 's/^Terraform v\([0-9][0-9A-Za-z.-]*\).*/\1/p' | head -n 1
}

# wanted_version prints $TERRAFORM_VERSION or the default, checked.
wanted_version() {
	wanted=${TERRAFORM_VERSION:-$(default_version)}
	wanted=${wanted#v}
	# It becomes part of a path and of a go.mod.
	printf '%s\n' "$wanted" | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?' ||
		die "TERRAFORM_VERSION is \"$wanted\": give it as 1.15.9"
	has_actions "$wanted" || die "TERRAFORM_VERSION is $wanted: actions need Terraform $oldest or newer"
	printf '%s\n' "$wanted"
}

# given prints the absolute path of $TERRAFORM, or fails when it cannot serve.
given() {
	program=$(command -v -- "$TERRAFORM") || die "TERRAFORM is \"$TERRAFORM\", which is not a program that can be run: correct it or leave it out"
	case $program in
	/*) ;;
	*) program=$(CDPATH='' cd -- "$(dirname -- "$program")" && pwd)/${program##*/} ;;
	esac
	found=$(version_of "$program")
	[ -n "$found" ] || die "TERRAFORM is \"$TERRAFORM\", which does not answer as Terraform: correct it or leave it out"
	has_actions "$found" || die "TERRAFORM is \"$TERRAFORM\", Terraform $found: actions need $oldest or newer; give a newer one or leave it out to have one built"
	printf '%s\n' "$program"
}

# built_path VERSION prints where build.sh puts it. The hash is over all that decides
# about the program but the machine's Go: a new Go is no reason to build again.
built_path() {
	hash=$(cd "$here" && find go.mod go.sum stubs -type f | LC_ALL=C sort | short_hash "$build_flags $ldflags" "$(uname -sm)")
	root=$(cache_root)
	printf '%s\n' "$root/terraform-$1-$hash/terraform"
}

# A version without this prints "-dev", and plugin-testing then takes it for older.
ldflags='-X github.com/hashicorp/terraform/version.dev=no'
