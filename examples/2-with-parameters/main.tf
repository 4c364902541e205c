# With parameters: what to run, and a timeout of ten minutes.
#
# `terraform apply` runs the action when the trigger below is created. Later:
#   terraform apply -invoke=action.aws_ssm_send_command.update_packages

terraform {
  required_version = ">= 1.14"
  required_providers {
    # The local name aws is what lets the action do without `provider = ssmrun`.
    aws = {
      source = "ssmrun/ssmrun"
    }
  }
}

variable "web_instance_id" {
  description = "Instance to update. Stands where the page has aws_instance.web.id."
  type        = string
}

action "aws_ssm_send_command" "update_packages" {
  config {
    instance_ids  = [var.web_instance_id]
    document_name = "AWS-RunShellScript"
    parameters = {
      commands = [
        "sudo yum update -y",
        "sudo systemctl restart httpd"
      ]
    }
    timeout = 600
  }
}

resource "terraform_data" "trigger" {
  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_ssm_send_command.update_packages]
    }
  }
}
