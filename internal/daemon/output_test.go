package daemon_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/testenv"
)

// TestLargeOutput: 64 MiB of any bytes arrive in the service's own S3, of which
// the first parts are there while the script still runs.
func TestLargeOutput(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1, Buckets: []string{"logs"}})
	ctx := testenv.Context(t)
	content := make([]byte, 64<<20+123)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	dir := t.TempDir()
	noise, goOn := filepath.Join(dir, "noise"), filepath.Join(dir, "go-on")
	if err := os.WriteFile(noise, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(goOn, 0o600); err != nil {
		t.Fatal(err)
	}
	id := send(t, s, "AWS-RunShellScript", shell("cat "+noise, "cat "+goOn, "exit 3"), 0, func(in *ssm.SendCommandInput) {
		in.OutputS3BucketName = aws.String("logs")
	})
	key := id + "/" + s.InstanceIDs[0] + "/awsrunShellScript/0.awsrunShellScript/"
	for parts := 0; parts < 8; { // the ninth is not full
		ups, err := s.S3().ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String("logs")})
		if err != nil {
			t.Fatal(err)
		}
		for _, up := range ups.Uploads {
			list, err := s.S3().ListParts(ctx, &s3.ListPartsInput{Bucket: aws.String("logs"), Key: up.Key, UploadId: up.UploadId})
			if err != nil || aws.ToString(up.Key) != key+"stdout" {
				t.Fatalf("parts of %s: %v", aws.ToString(up.Key), err)
			}
			parts = len(list.Parts)
		}
	}
	if err := os.WriteFile(goOn, []byte("end\n"), 0); err != nil {
		t.Fatal(err)
	}
	wait(t, s, id)
	want := sha256.New()
	want.Write(content)
	fmt.Fprint(want, "end\n")
	out, err := s.S3().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String(key + "stdout")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	got := sha256.New()
	n, err := io.Copy(got, out.Body)
	if err != nil || n != int64(len(content))+4 || string(got.Sum(nil)) != string(want.Sum(nil)) || aws.ToString(out.ContentType) != "text/plain" {
		t.Errorf("an object of %d bytes, %x, %s, %v", n, got.Sum(nil), aws.ToString(out.ContentType), err)
	}
	stderr, err := s.S3().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String(key + "stderr")})
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Body.Close()
	if b, err := io.ReadAll(stderr.Body); err != nil || string(b) != "failed to run commands: exit status 3" {
		t.Errorf("stderr %q, %v", b, err)
	}
	if ups, err := s.S3().ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String("logs")}); err != nil || len(ups.Uploads) > 0 {
		t.Errorf("uploads left open: %v, %v", ups, err)
	}
}
