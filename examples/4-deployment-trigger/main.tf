# Deployment trigger: the action runs when a version is first applied, and again
# whenever app_version changes. An apply that changes nothing runs nothing.
#
# To run it whatever has changed:
#   terraform apply -invoke=action.aws_ssm_send_command.deploy_app

terraform {
  required_version = ">= 1.14"
  required_providers {
    # The local name aws is what lets the action do without `provider = ssmrun`.
    aws = {
      source = "ssmrun/ssmrun"
    }
  }
}

variable "app_server_instance_id" {
  description = "Instance to deploy on. Stands where the page has aws_instance.app_server.id."
  type        = string
}

variable "app_version" {
  description = "Version to deploy."
  type        = string
}

# Left out: resource "aws_instance" "app_server" with its AMI and instance
# profile, and the trigger's depends_on. The instance is there already.

action "aws_ssm_send_command" "deploy_app" {
  config {
    instance_ids  = [var.app_server_instance_id]
    document_name = "AWS-RunShellScript"
    parameters = {
      commands = [
        "aws s3 cp s3://my-app-bucket/app.zip /tmp/",
        "unzip -o /tmp/app.zip -d /opt/app",
        "sudo systemctl restart app"
      ]
    }
    timeout = 1200
  }
}

resource "terraform_data" "deployment_trigger" {
  input = var.app_version

  lifecycle {
    action_trigger {
      events  = [after_create, after_update]
      actions = [action.aws_ssm_send_command.deploy_app]
    }
  }
}
