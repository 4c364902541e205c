// Package terraform is empty: only tests inside Terraform import the real one,
// but `go mod tidy` must find a package of that name.
package terraform
