package runner

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// SSM is the part of the SDK's client that a run needs; *ssm.Client is one.
//
// The least permissions of a run are ssm:SendCommand, ssm:ListCommands,
// ssm:ListCommandInvocations and ssm:DescribeInstanceInformation.
// ssm:GetCommandInvocation serves outputs longer than 2,500 characters,
// ssm:CancelCommand the timeout and the interrupt, ssm:DescribeDocument and
// ssm:GetDocument the check of the document and its parameters before anything
// is sent.
type SSM interface {
	SendCommand(ctx context.Context, in *ssm.SendCommandInput, optFns ...func(*ssm.Options)) (*ssm.SendCommandOutput, error)
	CancelCommand(ctx context.Context, in *ssm.CancelCommandInput, optFns ...func(*ssm.Options)) (*ssm.CancelCommandOutput, error)
	ListCommands(ctx context.Context, in *ssm.ListCommandsInput, optFns ...func(*ssm.Options)) (*ssm.ListCommandsOutput, error)
	ListCommandInvocations(ctx context.Context, in *ssm.ListCommandInvocationsInput, optFns ...func(*ssm.Options)) (*ssm.ListCommandInvocationsOutput, error)
	GetCommandInvocation(ctx context.Context, in *ssm.GetCommandInvocationInput, optFns ...func(*ssm.Options)) (*ssm.GetCommandInvocationOutput, error)
	DescribeInstanceInformation(ctx context.Context, in *ssm.DescribeInstanceInformationInput, optFns ...func(*ssm.Options)) (*ssm.DescribeInstanceInformationOutput, error)
	DescribeDocument(ctx context.Context, in *ssm.DescribeDocumentInput, optFns ...func(*ssm.Options)) (*ssm.DescribeDocumentOutput, error)
	GetDocument(ctx context.Context, in *ssm.GetDocumentInput, optFns ...func(*ssm.Options)) (*ssm.GetDocumentOutput, error)
}

// EC2 tells an instance that is still booting from one that will never come;
// *ec2.Client is one. It is optional, and so is its permission,
// ec2:DescribeInstances: without it every id that Systems Manager does not know
// is worth waiting for.
type EC2 interface {
	DescribeInstances(ctx context.Context, in *ec2.DescribeInstancesInput, optFns ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
}

// S3 looks at the output bucket and the objects in it; *s3.Client is one. It is
// optional. s3:ListBucket serves HeadBucket, s3:GetObject the rest.
type S3 interface {
	HeadBucket(ctx context.Context, in *s3.HeadBucketInput, optFns ...func(*s3.Options)) (*s3.HeadBucketOutput, error)
	HeadObject(ctx context.Context, in *s3.HeadObjectInput, optFns ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	GetObject(ctx context.Context, in *s3.GetObjectInput, optFns ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Config is what a Runner stands on.
type Config struct {
	SSM SSM
	EC2 EC2 // nil: not asked
	// S3 gives a client for a region; it is called for Region first and for the
	// bucket's own where that is another. nil: buckets and objects are not
	// looked at.
	S3 func(region string) S3
	// Region is the one that SSM talks to; for texts and the bucket's default.
	Region string
	// Endpoint is the URL of the service where it is not AWS's own, "" where it
	// is; only for the command lines that texts name.
	Endpoint string
	// Now tells the wall clock; time.Now where it is nil. Waiting itself goes by
	// the monotonic clock of package time.
	Now func() time.Time
	// Logger gets what a maintainer wants to know (never a parameter value);
	// nothing is logged where it is nil.
	Logger *slog.Logger
}

// Runner runs documents on instances. It is safe for concurrent use.
type Runner struct {
	cfg Config
	log *slog.Logger
}

// New makes a Runner; it asks nothing of anyone.
func New(cfg Config) *Runner {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Runner{cfg: cfg, log: log}
}
