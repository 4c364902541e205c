package daemon_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/daemon"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// TestClockThatIsOff: the service's clock is 20 minutes ahead of the callers'. A
// request is refused; the Go SDK learns the time from the refusal and succeeds
// with its second try.
func TestClockThatIsOff(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(testenv.Context(t))
	d, err := daemon.New(ctx, daemon.Config{
		Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0",
		S3Endpoint: "http://127.0.0.1:1", // the embedded one owns the process's working directory
		Now:        func() time.Time { return time.Now().Add(20 * time.Minute) },
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-d.Ready()
	info := d.Info()
	tries := 0
	client := ssm.NewFromConfig(aws.Config{
		Region: info.Region, BaseEndpoint: aws.String(info.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(info.AccessKeyID, info.SecretKey, ""),
		HTTPClient: roundTripper(func(r *http.Request) (*http.Response, error) {
			tries++
			return http.DefaultTransport.RoundTrip(r)
		}),
	})
	if _, err := client.ListCommands(ctx, &ssm.ListCommandsInput{}); err != nil || tries != 2 {
		t.Errorf("the SDK needed %d tries: %v", tries, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, info.Endpoint, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "AmazonSSM.ListCommands")
	sigv4.Sign(r, nil, sigv4.Keys{AccessKeyID: info.AccessKeyID, SecretAccessKey: info.SecretKey}, "ssm", info.Region, time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	decode(t, resp, &out)
	if resp.StatusCode != http.StatusBadRequest || out["__type"] != "InvalidSignatureException" {
		t.Errorf("a raw request: %d %v", resp.StatusCode, out)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) Do(r *http.Request) (*http.Response, error) { return f(r) }
