// Package notbuiltin is the one behaviour of all backend stubs: no configuration
// is ever accepted. A stub that quietly kept the state in memory would lose it
// when the command ends, and a test that used it by mistake would pass.
//
// The module's path lies below github.com/hashicorp/terraform because only there
// may Terraform's internal packages be imported.
package notbuiltin

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"

	"github.com/hashicorp/terraform/internal/backend"
	"github.com/hashicorp/terraform/internal/backend/remote-state/inmem"
	"github.com/hashicorp/terraform/internal/configs/configschema"
	"github.com/hashicorp/terraform/internal/tfdiags"
)

// refused embeds a working backend only for the methods that are never reached,
// whose signatures differ between Terraform versions.
type refused struct {
	backend.Backend
	name string
}

// New returns a backend of the given name that accepts no configuration.
func New(name string) backend.Backend { return refused{inmem.New(), name} }

// ConfigSchema has no argument. Terraform checks a block against it first, so a
// block with arguments fails with "Unsupported argument", an empty one below.
func (refused) ConfigSchema() *configschema.Block { return &configschema.Block{} }

// PrepareConfig always fails.
func (b refused) PrepareConfig(cty.Value) (cty.Value, tfdiags.Diagnostics) {
	var diags tfdiags.Diagnostics
	return cty.NilVal, diags.Append(fmt.Errorf(
		"backend %q is not built into this development build of Terraform: use the local backend, or set TERRAFORM to a full Terraform", b.name))
}
