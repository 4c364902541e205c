# Multiple instances with S3 output: three at once, whole outputs in a bucket.
#
# `terraform apply` runs the action when the trigger below is created. Later:
#   terraform apply -invoke=action.aws_ssm_send_command.deploy
#
# The three lines of `commands` are one script, and its exit code is that of its
# last line. Where /var/www/html does not exist, `cd` fails and the script goes
# on: begin with "set -e" to make that a failure.

terraform {
  required_version = ">= 1.14"
  required_providers {
    # The local name aws is what lets the action do without `provider = ssmrun`.
    aws = {
      source = "ssmrun/ssmrun"
    }
  }
}

variable "web1_instance_id" {
  description = "First instance. Stands where the page has aws_instance.web1.id."
  type        = string
}

variable "web2_instance_id" {
  description = "Second instance. Stands where the page has aws_instance.web2.id."
  type        = string
}

variable "web3_instance_id" {
  description = "Third instance. Stands where the page has aws_instance.web3.id."
  type        = string
}

variable "logs_bucket" {
  description = "Bucket for the outputs. Stands where the page has aws_s3_bucket.logs.id."
  type        = string
}

action "aws_ssm_send_command" "deploy" {
  config {
    instance_ids = [
      var.web1_instance_id,
      var.web2_instance_id,
      var.web3_instance_id
    ]
    document_name      = "AWS-RunShellScript"
    output_s3_bucket   = var.logs_bucket
    parameters = {
      commands = [
        "cd /var/www/html",
        "git pull origin main",
        "sudo systemctl reload nginx"
      ]
    }
    timeout = 900
  }
}

resource "terraform_data" "trigger" {
  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_ssm_send_command.deploy]
    }
  }
}
