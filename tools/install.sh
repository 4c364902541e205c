#!/bin/sh
# Puts the provider into the user's filesystem mirror of Terraform, where a plain
# `terraform init` finds it without a network, and ssmrun into Go's bin folder.
set -eu
cd "$(dirname "$0")/.."
version=${VERSION:?}
platform=$(go env GOOS)_$(go env GOARCH)
case $(go env GOOS) in
windows) base=${APPDATA:?}/terraform.d/plugins exe=.exe ;;
darwin) base="$HOME/Library/Application Support/io.terraform/plugins" exe= ;;
*) base=${XDG_DATA_HOME:-$HOME/.local/share}/terraform/plugins exe= ;;
esac
dir=$base/registry.terraform.io/ssmrun/ssmrun/$version/$platform
mkdir -p "$dir"
CGO_ENABLED=0 go build -ldflags "${LDFLAGS:-}" -o "$dir/terraform-provider-ssmrun_v$version$exe" ./cmd/terraform-provider-ssmrun
CGO_ENABLED=0 go install -ldflags "${LDFLAGS:-}" ./cmd/ssmrun ./cmd/ssmrun-agent
bin=$(go env GOBIN)
[ -n "$bin" ] || bin=$(go env GOPATH)/bin
echo "provider  $dir"
echo "programs  $bin/ssmrun $bin/ssmrun-agent"
echo "A configuration with source = \"ssmrun/ssmrun\" now works with a plain 'terraform init'."
