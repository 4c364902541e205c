// Package oss stands in for Terraform's backend "oss".
package oss

import (
	"github.com/hashicorp/terraform/internal/backend"
	"github.com/hashicorp/terraform/notbuiltin"
)

// New returns a backend that refuses every configuration.
func New() backend.Backend { return notbuiltin.New("oss") }
