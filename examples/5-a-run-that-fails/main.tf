# A run that fails: the script ends with exit code 3 on one of the instances. The
# apply fails, and says on which instance and why. The other instances have
# nevertheless run it.
#
# Terraform does not run the action again by itself: the trigger was created.
# Once the cause is mended:
#   terraform apply -invoke=action.aws_ssm_send_command.check

terraform {
  required_version = ">= 1.14"
  required_providers {
    # The local name aws is what lets the action do without `provider = ssmrun`.
    aws = {
      source = "ssmrun/ssmrun"
    }
  }
}

variable "instance_ids" {
  description = "Instances to check."
  type        = list(string)
}

variable "failing_instance_id" {
  description = "The one of them on which the check fails."
  type        = string
}

action "aws_ssm_send_command" "check" {
  config {
    instance_ids  = var.instance_ids
    document_name = "AWS-RunShellScript"
    parameters = {
      commands = [
        "echo 'checking the data volume'",
        "if [ \"$AWS_SSM_INSTANCE_ID\" = '${var.failing_instance_id}' ]; then",
        "  echo 'volume /data is not mounted' >&2",
        "  exit 3",
        "fi",
        "echo 'all is well'"
      ]
    }
  }
}

resource "terraform_data" "trigger" {
  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_ssm_send_command.check]
    }
  }
}
