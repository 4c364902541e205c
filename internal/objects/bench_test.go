package objects

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func benchEndpoint(b *testing.B) (*endpoint, string) {
	b.Helper()
	e := start(b, testConfig(b.TempDir()))
	if err := e.EnsureBucket(b.Context(), "logs", regionA); err != nil {
		b.Fatal(err)
	}
	return e, "logs"
}

// An upload as an agent's: 1 KiB, under a folder of its own, synced.
func BenchmarkPut1KiB(b *testing.B) {
	e, bucket := benchEndpoint(b)
	c := e.client(asTemporary(goodToken))
	body := strings.Repeat("x", 1024)
	i := 0
	for b.Loop() {
		i++
		put(b, c, bucket, "cmd/i-"+strconv.Itoa(i)+"/awsrunShellScript/0.awsrunShellScript/stdout", body)
	}
}

func BenchmarkGet1KiB(b *testing.B) {
	e, bucket := benchEndpoint(b)
	c := e.client()
	put(b, c, bucket, "k", strings.Repeat("x", 1024))
	for b.Loop() {
		readObject(b, c, bucket, "k")
	}
}

func BenchmarkPut100MB(b *testing.B) {
	e, bucket := benchEndpoint(b)
	c := e.client()
	body := randomBytes(100 << 20)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := c.PutObject(b.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("big"), Body: bytes.NewReader(body)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet100MB(b *testing.B) {
	e, bucket := benchEndpoint(b)
	c := e.client()
	body := randomBytes(100 << 20)
	b.SetBytes(int64(len(body)))
	if _, err := c.PutObject(b.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("big"), Body: bytes.NewReader(body)}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		readObject(b, c, bucket, "big")
	}
}

func readObject(b *testing.B, c *s3.Client, bucket, key string) {
	b.Helper()
	out, err := c.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		b.Fatal(err)
	}
	defer out.Body.Close()
	if _, err := io.Copy(io.Discard, out.Body); err != nil {
		b.Fatal(err)
	}
}
