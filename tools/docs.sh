#!/bin/sh
# docs.sh: writes docs/ from the provider's schema, templates/ and examples/.
#
# The generator is given the schema, because by itself it would build the provider
# from the repository's root, and take any Terraform on PATH: one without actions
# leaves their pages out and says nothing.
set -eu
me=docs
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib.sh"
root=${here%/*}

generator=$(sh "$here/tool.sh" tfplugindocs | tail -n 1)
terraform=$(sh "$here/terraform/find.sh") || {
	[ $? -eq 3 ] || exit 2
	terraform=$(sh "$here/terraform/build.sh" | tail -n 1)
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The provider goes by the local name that its users give it, aws, and so does its
# schema; that is also the prefix which the generator cuts off the actions' names.
mkdir "$work/provider" "$work/configuration"
(cd "$root" && go build -o "$work/provider/terraform-provider-aws" ./cmd/terraform-provider-ssmrun)
cat >"$work/terraform.rc" <<END
provider_installation {
  dev_overrides {
    "hashicorp/aws" = "$work/provider"
  }
}
END
echo 'provider "aws" {}' >"$work/configuration/main.tf"
(
	cd "$work/configuration"
	CHECKPOINT_DISABLE=1 TF_CLI_CONFIG_FILE="$work/terraform.rc" "$terraform" providers schema -json
) >"$work/schema.json"

"$generator" generate --provider-dir "$root" --provider-name aws --rendered-provider-name ssmrun \
	--providers-schema "$work/schema.json" >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	die 'docs/ is not complete, see above'
}
