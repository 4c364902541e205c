action "aws_ssm_send_command" "example" {
  config {
    instance_ids  = [aws_instance.example.id]
    document_name = "AWS-RunShellScript"
    parameters = {
      commands = ["echo 'Hello World'", "uptime"]
    }
  }
}

action "aws_ssm_send_command" "update_packages" {
  config {
    instance_ids  = [aws_instance.web.id]
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

action "aws_ssm_send_command" "deploy" {
  config {
    instance_ids = [
      aws_instance.web1.id,
      aws_instance.web2.id,
      aws_instance.web3.id
    ]
    document_name      = "AWS-RunShellScript"
    output_s3_bucket   = aws_s3_bucket.logs.id
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

action "aws_ssm_send_command" "deploy_app" {
  config {
    instance_ids  = [aws_instance.app_server.id]
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

  depends_on = [aws_instance.app_server]
}
