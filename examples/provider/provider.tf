terraform {
  required_version = ">= 1.14"
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
    ssmrun = {
      source = "ssmrun/ssmrun"
    }
  }
}

provider "aws" {
  region = "eu-west-1"
}

# Takes the same settings, environment variables and profiles.
provider "ssmrun" {
  region = "eu-west-1"
}

data "aws_instances" "web" {
  instance_tags = {
    Role = "web"
  }
}

action "aws_ssm_send_command" "reload" {
  provider = ssmrun

  config {
    instance_ids  = data.aws_instances.web.ids
    document_name = "AWS-RunShellScript"
    parameters = {
      commands = ["systemctl reload nginx"]
    }
  }
}
