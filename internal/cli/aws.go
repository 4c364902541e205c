package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"

	"ssmrun/internal/runner"
)

// awsFlags say which service a command talks to. What is not given comes from
// AWS's own environment variables and profiles.
type awsFlags struct {
	region, profile, endpoint string
}

func (a *awsFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&a.region, "region", "", "region (default: AWS_REGION, or the profile's)")
	f.StringVar(&a.profile, "profile", "", "profile of the AWS configuration files")
	f.StringVar(&a.endpoint, "endpoint-url", "", "service to talk to instead of AWS (default: AWS_ENDPOINT_URL)")
}

// connect makes a runner.
func (a *awsFlags) connect(ctx context.Context) (*runner.Runner, *ssm.Client, error) {
	// The SDK's own log lines are for its maintainers; errors come back as errors.
	opts := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if a.region != "" {
		opts = append(opts, config.WithRegion(a.region))
	}
	if a.profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(a.profile))
	}
	if a.endpoint != "" {
		if !strings.HasPrefix(a.endpoint, "http://") && !strings.HasPrefix(a.endpoint, "https://") {
			return nil, nil, &exitError{ExitUsage, fmt.Errorf("--endpoint-url %q must begin with http:// or https://", a.endpoint)}
		}
		opts = append(opts, config.WithBaseEndpoint(a.endpoint))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, nil, &exitError{ExitCredentials, fmt.Errorf("read the AWS configuration: %w", err)}
	}
	if cfg.Region == "" {
		return nil, nil, &exitError{ExitUsage, fmt.Errorf("no region: give --region, or set AWS_REGION, or region in the profile")}
	}
	client := ssm.NewFromConfig(cfg)
	endpoint := ownEndpoint(cfg, client)
	r := runner.New(runner.Config{
		SSM: client, EC2: ec2.NewFromConfig(cfg), Region: cfg.Region, Endpoint: endpoint,
		S3: func(region string) runner.S3 {
			return s3.NewFromConfig(cfg, func(o *s3.Options) {
				o.Region = region
				o.UsePathStyle = o.UsePathStyle || endpoint != ""
			})
		},
	})
	return r, client, nil
}

// ownEndpoint is the endpoint where it is not AWS's.
func ownEndpoint(cfg aws.Config, client *ssm.Client) string {
	if e := client.Options().BaseEndpoint; e != nil {
		return *e
	}
	if cfg.BaseEndpoint != nil {
		return *cfg.BaseEndpoint
	}
	return os.Getenv("AWS_ENDPOINT_URL")
}
