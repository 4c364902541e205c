package cli

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/daemon"
	"ssmrun/internal/runner"
)

// localRunner is a runner for a service that this process runs.
func localRunner(info daemon.Info) *runner.Runner {
	cfg := aws.Config{
		Region: info.Region, BaseEndpoint: aws.String(info.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(info.AccessKeyID, info.SecretKey, ""),
	}
	return runner.New(runner.Config{SSM: ssm.NewFromConfig(cfg), EC2: ec2.NewFromConfig(cfg), Region: info.Region, Endpoint: info.Endpoint})
}
