package objects

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// outputKey is a key of the layout in which agents leave outputs.
const outputKey = "prefix/a1b2c3d4-0000-4000-8000-00000000a001/i-0123456789abcdef0/awsrunShellScript/0.awsrunShellScript/stdout"

func get(t *testing.T, c *s3.Client, bucket, key string) []byte {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("get %s/%s: %v", bucket, key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("read %s/%s: %v", bucket, key, err)
	}
	return body
}

func listKeys(t *testing.T, c *s3.Client, bucket, prefix string) []string {
	t.Helper()
	var keys []string
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix, MaxKeys: aws.Int32(7)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys
}

// randomBytes gives n bytes that no compression or sparse file can hide.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	var seed [32]byte
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// An upload as the genuine agent makes it: text, an ACL for the bucket's owner, an MD5.
func TestPutAsAnAgentDoes(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	c := e.client()
	sum := md5.Sum([]byte("hello\n"))
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String(outputKey), Body: strings.NewReader("hello\n"),
		ContentType: aws.String("text/plain"), ACL: types.ObjectCannedACLBucketOwnerFullControl,
		ContentMD5: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		Metadata:   map[string]string{"origin": "agent"},
	})
	if err != nil {
		t.Fatal(err)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String(outputKey)})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ContentLength != 6 || *head.ContentType != "text/plain" || head.Metadata["origin"] != "agent" ||
		*head.ETag != fmt.Sprintf("%q", fmt.Sprintf("%x", sum)) {
		t.Errorf("head: %d %s %v %s", *head.ContentLength, *head.ContentType, head.Metadata, *head.ETag)
	}
	if got := get(t, c, bucket, outputKey); string(got) != "hello\n" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{outputKey}, listKeys(t, c, bucket, "prefix/a1b2c3d4")); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	wrong := md5.Sum([]byte("other"))
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader("hello\n"),
		ContentMD5: aws.String(base64.StdEncoding.EncodeToString(wrong[:])),
	})
	want(t, err, http.StatusBadRequest, "BadDigest")
	if left := listKeys(t, c, bucket, "k"); left != nil {
		t.Errorf("a refused upload left %v", left)
	}
}

func TestAwkwardKeys(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	c := e.client()
	keys := []string{
		"plain", "with space", "a:b", "plus+plus", "per%cent", "per%2Fcent", "q?u=e&r#y", "ümläut/日本語", "quote'\"`", "(paren)[b]{c}",
		"semi;colon,comma=eq@at$dollar!bang*star", "tilde~under_score", `back\slash`, "trailing.", "...", "dot.dot/..x/.hidden", "<&>", strings.Repeat("long/", 180) + "end",
	}
	for _, key := range keys {
		put(t, c, bucket, key, "body of "+key)
	}
	for _, key := range keys {
		if got := string(get(t, c, bucket, key)); got != "body of "+key {
			t.Errorf("%q: got %q", key, got)
		}
	}
	slices.Sort(keys)
	if diff := cmp.Diff(keys, listKeys(t, c, bucket, "")); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// What a store of files cannot hold is refused, with nothing written.
func TestImpossibleKeys(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	c := e.client()
	put(t, c, bucket, "taken", "v")
	for key, tc := range map[string]struct {
		status int
		code   string
	}{
		"a/../b":                             {http.StatusBadRequest, "InvalidArgument"},
		"../other-bucket/k":                  {http.StatusBadRequest, "InvalidArgument"},
		"./k":                                {http.StatusBadRequest, "InvalidArgument"},
		".sgwtmp/multipart/x":                {http.StatusBadRequest, "InvalidArgument"},
		"nul\x00byte":                        {http.StatusBadRequest, "InvalidArgument"},
		"taken/below":                        {http.StatusConflict, "ObjectParentIsFile"},
		strings.Repeat("n", 256):             {http.StatusBadRequest, "KeyTooLongError"},
		strings.Repeat("long/", 300) + "end": {http.StatusBadRequest, "KeyTooLongError"},
	} {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
		t.Run(fmt.Sprintf("%.20q", key), func(t *testing.T) { want(t, err, tc.status, tc.code) })
	}
	if diff := cmp.Diff([]string{"taken"}, listKeys(t, c, bucket, "")); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestListByPrefixAndDelimiter(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	c := e.client()
	var all []string
	for i := range 30 {
		key := fmt.Sprintf("p/cmd-%02d/i-%d/stdout", i/3, i%3)
		put(t, c, bucket, key, "x")
		all = append(all, key)
	}
	if diff := cmp.Diff(all, listKeys(t, c, bucket, "p/")); diff != "" {
		t.Errorf("list in pages of 7 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(all[9:12], listKeys(t, c, bucket, "p/cmd-03/")); diff != "" {
		t.Errorf("list of one command (-want +got):\n%s", diff)
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("p/"), Delimiter: aws.String("/")})
	if err != nil || len(out.CommonPrefixes) != 10 || len(out.Contents) != 0 {
		t.Errorf("folders: %d prefixes, %d objects, %v", len(out.CommonPrefixes), len(out.Contents), err)
	}
}

func uploadInParts(t *testing.T, c *s3.Client, bucket, key string, parts ...[]byte) {
	t.Helper()
	created, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, ContentType: aws.String("text/plain")})
	if err != nil {
		t.Fatal(err)
	}
	done := make([]types.CompletedPart, len(parts))
	for i, body := range parts {
		part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: &bucket, Key: &key, UploadId: created.UploadId,
			PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body),
		})
		if err != nil {
			t.Fatal(err)
		}
		done[i] = types.CompletedPart{ETag: part.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC32: part.ChecksumCRC32}
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: created.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMultipart20MB(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	c := e.client()
	body := randomBytes(20 << 20)
	const part = 6 << 20
	uploadInParts(t, c, bucket, outputKey, body[:part], body[part:2*part], body[2*part:3*part], body[3*part:])
	if got := get(t, c, bucket, outputKey); !bytes.Equal(got, body) {
		t.Errorf("got %d bytes that differ", len(got))
	}
	tail, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(outputKey), Range: aws.String("bytes=-1000")})
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Body.Close()
	if got, err := io.ReadAll(tail.Body); err != nil || !bytes.Equal(got, body[len(body)-1000:]) {
		t.Errorf("the last 1000 bytes: got %d, %v", len(got), err)
	}

	created, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("given-up")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: aws.String("given-up"), UploadId: created.UploadId})
	want(t, err, 0, "")
	if diff := cmp.Diff([]string{outputKey}, listKeys(t, c, bucket, "")); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// Over TLS the SDK streams a reader that cannot be read twice, with its checksum in a trailer.
func TestStreamOverTLS(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	web := httptest.NewTLSServer(e.Handler())
	t.Cleanup(web.Close)
	c := e.client(func(o *s3.Options) {
		o.BaseEndpoint = &web.URL
		o.HTTPClient = web.Client()
	})
	body := randomBytes(20 << 20)
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("streamed"), ContentLength: aws.Int64(int64(len(body))),
		Body: io.MultiReader(bytes.NewReader(body[:100]), bytes.NewReader(body[100:])),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, bucket, "streamed"); !bytes.Equal(got, body) {
		t.Errorf("got %d bytes that differ", len(got))
	}
}

func TestConcurrentUploads(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	c := e.client(asTemporary(goodToken))
	const writers, each = 32, 8
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				key, body := fmt.Sprintf("cmd/i-%d/%d/stdout", w, i), fmt.Sprintf("%d of %d", i, w)
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
				_, sameErr := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("same"), Body: strings.NewReader(body)})
				if err != nil || sameErr != nil {
					t.Errorf("put %s: %v, same: %v", key, err, sameErr)
				}
			}
		})
	}
	wg.Wait()
	reader := e.client()
	if got := len(listKeys(t, reader, bucket, "cmd/")); got != writers*each {
		t.Errorf("%d objects, want %d", got, writers*each)
	}
	for w := range writers {
		if got := string(get(t, reader, bucket, fmt.Sprintf("cmd/i-%d/3/stdout", w))); got != fmt.Sprintf("3 of %d", w) {
			t.Errorf("writer %d: got %q", w, got)
		}
	}
	var i, w int
	if _, err := fmt.Sscanf(string(get(t, reader, bucket, "same")), "%d of %d", &i, &w); err != nil {
		t.Errorf("the key that all wrote: %v", err)
	}
}

func TestVirtualHosts(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	for _, tc := range []struct{ host, region string }{
		{domain, regionA},
		{domain + ":8443", regionA},
		{strings.ToUpper(domain), regionA},
		{"s3." + regionB + ".lab.test", regionB},
		{domain, regionB},
	} {
		name := bucket
		if tc.region == regionB {
			name += "-b"
			if err := e.EnsureBucket(t.Context(), name, regionB); err != nil {
				t.Fatal(err)
			}
		}
		c := e.client(e.asVirtualHost(tc.host), inRegion(tc.region))
		put(t, c, name, "a/b c:d", "v at "+tc.host)
		if got := string(get(t, e.client(inRegion(tc.region)), name, "a/b c:d")); got != "v at "+tc.host {
			t.Errorf("%s: by path: got %q", tc.host, got)
		}
		if got := string(get(t, c, name, "a/b c:d")); got != "v at "+tc.host {
			t.Errorf("%s: got %q", tc.host, got)
		}
		if diff := cmp.Diff([]string{"a/b c:d"}, listKeys(t, c, name, "")); diff != "" {
			t.Errorf("%s: list (-want +got):\n%s", tc.host, diff)
		}
		if _, err := headBucket(t, c, name); err != nil {
			t.Errorf("%s: head: %v", tc.host, err)
		}
	}
	_, err := headBucket(t, e.client(e.asVirtualHost(domain)), "no-such-bucket")
	want(t, err, http.StatusNotFound, "")
	// An agent's upload is told from its reading by virtual host too.
	agent := e.client(e.asVirtualHost(domain), asTemporary(goodToken))
	put(t, agent, bucket, "from/agent", "v")
	_, err = agent.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("from/agent")})
	want(t, err, http.StatusForbidden, "AccessDenied")
}
