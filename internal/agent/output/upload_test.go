package output

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/sigv4"
)

func TestPathStyle(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]bool{
		"http://127.0.0.1:8440": true, "http://[::1]:1": true, "https://s3.lab.test": true, "http://localhost:9000": true,
		"https://s3.us-east-1.amazonaws.com": false, "https://s3.cn-north-1.amazonaws.com.cn": false, "https://amazonaws.com.evil.test": true,
	} {
		u, err := agentlink.ParseEndpoint(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if got := pathStyle(u); got != want {
			t.Errorf("%s: path style %v, want %v", endpoint, got, want)
		}
	}
}

// TestReasons: whatever goes wrong before S3 is reached has a text as well.
func TestReasons(t *testing.T) {
	t.Parallel()
	keys := func(context.Context) (agentlink.Credentials, error) {
		return agentlink.Credentials{}, errors.New("the service is away")
	}
	given := func(context.Context) (agentlink.Credentials, error) {
		return agentlink.Credentials{Keys: sigv4.Keys{AccessKeyID: "AKIA", SecretAccessKey: "x"}}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := l.Addr().String()
	l.Close()
	for want, u := range map[string]*Uploader{
		"S3 cannot be reached at " + away + ": ": New(Config{Credentials: given, Endpoint: agentlink.FixedEndpoint("http://" + away), Region: "us-east-1"}),
		"the service is away":                    New(Config{Credentials: keys, Endpoint: agentlink.FixedEndpoint("http://127.0.0.1:1"), Region: "us-east-1"}),
		"no file":                                New(Config{Credentials: keys, Endpoint: func() (string, error) { return "", errors.New("no file") }}),
		"want http://":                           New(Config{Credentials: keys, Endpoint: agentlink.FixedEndpoint("nonsense")}),
	} {
		s := u.Stream(t.Context(), Target{Bucket: "bucket", Key: "key", Name: "stdout", Dir: t.TempDir()})
		_, _ = s.Write([]byte("x"))
		notes := s.Finish()
		if len(notes) != 1 || !strings.HasPrefix(notes[0], "stdout: upload to s3://bucket/key failed: ") || !strings.Contains(notes[0], want) {
			t.Errorf("got %q, want %q", notes, want)
		}
		var e *Error
		if !errors.As(s.failure, &e) || e.Unwrap() == nil || !strings.Contains(e.Reason, want) {
			t.Errorf("got %#v, want %q", s.failure, want)
		}
	}
}
