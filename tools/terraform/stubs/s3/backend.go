// Package s3 stands in for Terraform's backend "s3".
package s3

import (
	"github.com/hashicorp/terraform/internal/backend"
	"github.com/hashicorp/terraform/notbuiltin"
)

// New returns a backend that refuses every configuration.
func New() backend.Backend { return notbuiltin.New("s3") }
