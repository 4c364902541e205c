package objects

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// awsCommand finds an AWS command line: Debian's, else any on PATH.
func awsCommand(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/aws", "aws"} {
		if path, err := exec.LookPath(name); err == nil {
			if err := exec.Command(path, "--version").Run(); err == nil {
				return path
			}
		}
	}
	t.Skip("NOT RUN: no AWS command line; on Debian, apt-get install awscli")
	return ""
}

// awsCLI runs the command line from an environment of its own.
type awsCLI struct {
	path, home, url string
	env             []string
}

func newAWSCLI(t *testing.T, e *endpoint, id, secret, token string) *awsCLI {
	t.Helper()
	c := &awsCLI{path: awsCommand(t), home: t.TempDir(), url: e.url}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "TF_") || strings.HasSuffix(strings.ToLower(name), "_proxy") || name == "HOME" {
			continue
		}
		c.env = append(c.env, kv)
	}
	c.env = append(c.env, "HOME="+c.home, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_DEFAULT_REGION="+regionA,
		"AWS_ACCESS_KEY_ID="+id, "AWS_SECRET_ACCESS_KEY="+secret)
	if token != "" {
		c.env = append(c.env, "AWS_SESSION_TOKEN="+token)
	}
	return c
}

// run gives the output and whether it worked.
func (c *awsCLI) run(args ...string) (string, bool) {
	cmd := exec.Command(c.path, append([]string{"--endpoint-url", c.url}, args...)...)
	cmd.Env, cmd.Dir = c.env, c.home
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func (c *awsCLI) must(t *testing.T, args ...string) string {
	t.Helper()
	out, ok := c.run(args...)
	if !ok {
		t.Fatalf("aws %s: %s", strings.Join(args, " "), out)
	}
	return out
}

func TestAWSCommandLine(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	c := newAWSCLI(t, e, accessKey, secretKey, "")
	put(t, e.client(), bucket, outputKey, "hello\n")

	if out := c.must(t, "s3", "ls"); !strings.Contains(out, bucket) {
		t.Errorf("ls: %s", out)
	}
	if out := c.must(t, "s3", "ls", "--recursive", "s3://"+bucket); !strings.Contains(out, " 6 "+outputKey) {
		t.Errorf("ls --recursive: %s", out)
	}
	if out := c.must(t, "s3", "cp", "s3://"+bucket+"/"+outputKey, "-"); out != "hello\n" {
		t.Errorf("cp to standard output: %q", out)
	}

	made := bucket + "-cli"
	c.must(t, "s3", "mb", "s3://"+made, "--region", regionB)
	body := randomBytes(20 << 20)
	file := filepath.Join(c.home, "big")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	// Without --region it is signed for the wrong one, and follows the answer.
	c.must(t, "s3", "cp", "--no-progress", file, "s3://"+made+"/in parts")
	c.must(t, "s3", "cp", "--no-progress", "s3://"+made+"/in parts", file+".back")
	if got, err := os.ReadFile(file + ".back"); err != nil || !bytes.Equal(got, body) {
		t.Errorf("there and back: %d bytes, %v", len(got), err)
	}
	c.must(t, "s3", "rb", "--force", "s3://"+made)
	if out, ok := newAWSCLI(t, e, accessKey, "wrong", "").run("s3", "ls"); ok || !strings.Contains(out, "SignatureDoesNotMatch") {
		t.Errorf("a wrong secret: %s", out)
	}

	agent := newAWSCLI(t, e, tempKey, tempSecret, goodToken)
	agent.must(t, "s3", "cp", "--no-progress", file, "s3://"+bucket+"/by/agent")
	if out, ok := agent.run("s3", "cp", "s3://"+bucket+"/"+outputKey, "-"); ok || !strings.Contains(out, "403") {
		t.Errorf("an agent reads: %s", out)
	}
}
