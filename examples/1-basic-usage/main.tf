# Basic usage: two commands on one instance.
#
# `terraform apply` runs the action when the trigger below is created. Later:
#   terraform apply -invoke=action.aws_ssm_send_command.example

terraform {
  required_version = ">= 1.14"
  required_providers {
    # The local name aws is what lets the action do without `provider = ssmrun`.
    aws = {
      source = "ssmrun/ssmrun"
    }
  }
}

variable "example_instance_id" {
  description = "Instance to run the commands on. Stands where the page has aws_instance.example.id."
  type        = string
}

# Left out: resource "aws_instance" "example" with its AMI and instance profile.
# The instance is there already, and its id is given.

action "aws_ssm_send_command" "example" {
  config {
    instance_ids  = [var.example_instance_id]
    document_name = "AWS-RunShellScript"
    parameters = {
      commands = ["echo 'Hello World'", "uptime"]
    }
  }
}

resource "terraform_data" "trigger" {
  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_ssm_send_command.example]
    }
  }
}
