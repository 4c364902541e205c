module github.com/hashicorp/terraform/notbuiltin

go 1.26
