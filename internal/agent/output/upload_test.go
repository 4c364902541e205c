package output

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ssmrun/internal/agentlink"
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
	file := filepath.Join(t.TempDir(), "stdout")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := func(context.Context) (agentlink.Credentials, error) {
		return agentlink.Credentials{}, errors.New("the service is away")
	}
	for want, u := range map[string]*Uploader{
		"the service is away": New(Config{Credentials: keys, Endpoint: agentlink.FixedEndpoint("http://127.0.0.1:1"), Region: "us-east-1"}),
		"no file":             New(Config{Credentials: keys, Endpoint: func() (string, error) { return "", errors.New("no file") }}),
		"want http://":        New(Config{Credentials: keys, Endpoint: agentlink.FixedEndpoint("nonsense")}),
	} {
		err := u.Upload(t.Context(), "bucket", "key", file, 1)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), "s3://bucket/key") || !strings.Contains(e.Reason, want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	u := New(Config{Credentials: keys, Endpoint: agentlink.FixedEndpoint("")})
	if err := u.Upload(t.Context(), "bucket", "key", "/no/such/file", 1); err == nil {
		t.Error("a missing file was uploaded")
	}
}
