package objects

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestTemporaryCredentialsUpload(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	agent := e.client(asTemporary(goodToken))
	if _, err := headBucket(t, agent, bucket); err != nil {
		t.Errorf("look for the bucket: %v", err)
	}
	if _, err := agent.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: &bucket}); err != nil {
		t.Errorf("ask for the region: %v", err)
	}
	_, err := agent.GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: &bucket})
	if _, code := status(err); code == "AccessDenied" {
		t.Errorf("ask for the encryption: %v", err)
	}
	put(t, agent, bucket, outputKey, "hello\n")
	big := randomBytes(6 << 20)
	uploadInParts(t, agent, bucket, "in/parts", big[:5<<20], big[5<<20:])
	caller := e.client()
	if got := string(get(t, caller, bucket, outputKey)); got != "hello\n" {
		t.Errorf("got %q", got)
	}
	if got := get(t, caller, bucket, "in/parts"); !bytes.Equal(got, big) {
		t.Errorf("in parts: got %d bytes that differ", len(got))
	}
}

func TestTemporaryCredentialsDoNothingElse(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	key := "others/output"
	put(t, e.client(), bucket, key, "secret of another host")
	c := e.client(asTemporary(goodToken))
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"list buckets": func() error { _, err := c.ListBuckets(ctx, &s3.ListBucketsInput{}); return err },
		"list":         func() error { _, err := c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: &bucket}); return err },
		"list v2":      func() error { _, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket}); return err },
		"list uploads": func() error {
			_, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &bucket})
			return err
		},
		"get": func() error { _, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key}); return err },
		"head": func() error {
			_, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
			return err
		},
		"delete": func() error {
			_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
			return err
		},
		"delete bucket": func() error { _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket}); return err },
		"copy": func() error {
			_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("mine"), CopySource: aws.String(bucket + "/" + key)})
			return err
		},
		"tag": func() error {
			_, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &bucket, Key: &key})
			return err
		},
		"set a policy": func() error {
			_, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String("{}")})
			return err
		},
	} {
		st, code := status(call())
		if st != http.StatusForbidden || code != "AccessDenied" && name != "head" {
			t.Errorf("%s: got %d %q, want 403 AccessDenied", name, st, code)
		}
	}
	if got := string(get(t, e.client(), bucket, key)); got != "secret of another host" {
		t.Errorf("got %q", got)
	}
}

func TestSessionTokens(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	for name, tc := range map[string]struct {
		id, secret, token string
		status            int
		code              string
	}{
		"good":                         {tempKey, tempSecret, goodToken, 0, ""},
		"expired":                      {tempKey, tempSecret, expiredToken, http.StatusBadRequest, "ExpiredToken"},
		"of nobody":                    {tempKey, tempSecret, "guessed", http.StatusBadRequest, "InvalidToken"},
		"look-up fails":                {tempKey, tempSecret, brokenToken, http.StatusInternalServerError, "InternalError"},
		"left out":                     {tempKey, tempSecret, "", http.StatusForbidden, "InvalidAccessKeyId"},
		"with a wrong secret":          {tempKey, "wrong", goodToken, http.StatusForbidden, "SignatureDoesNotMatch"},
		"of another key":               {"ASIAOTHER00000000000", tempSecret, goodToken, http.StatusBadRequest, "InvalidToken"},
		"beside a permanent key":       {accessKey, secretKey, goodToken, http.StatusBadRequest, "InvalidToken"},
		"beside the gateway's own key": {DefaultAccountID, "x", goodToken, http.StatusBadRequest, "InvalidToken"},
	} {
		_, err := e.client(asKey(tc.id, tc.secret, tc.token)).PutObject(t.Context(),
			&s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader("v")})
		t.Run(name, func(t *testing.T) { want(t, err, tc.status, tc.code) })
	}
}

func TestPresigned(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	put(t, e.client(), bucket, "k", "v")
	do := func(method, url, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return send(t, req)
	}
	caller, agent := s3.NewPresignClient(e.client()), s3.NewPresignClient(e.client(asTemporary(goodToken)))
	link, err := caller.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	if st, body := do("GET", link.URL, ""); st != http.StatusOK || body != "v" {
		t.Errorf("get: %d %q", st, body)
	}
	if st, body := do("GET", strings.Replace(link.URL, "/k?", "/other?", 1), ""); st != http.StatusForbidden {
		t.Errorf("get of another key: %d %q", st, body)
	}
	link, err = agent.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("from-agent")})
	if err != nil {
		t.Fatal(err)
	}
	if st, body := do("PUT", link.URL, "w"); st != http.StatusOK {
		t.Errorf("put by an agent: %d %q", st, body)
	}
	link, err = agent.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	if st, body := do("GET", link.URL, ""); st != http.StatusForbidden || !strings.Contains(body, "AccessDenied") {
		t.Errorf("get by an agent: %d %q", st, body)
	}
	// A token in other letters is still a token.
	if st, _ := do("GET", strings.Replace(link.URL, "X-Amz-Security-Token", "x-amz-security-token", 1), ""); st != http.StatusForbidden {
		t.Errorf("get by an agent, other letters: %d", st)
	}
}

// send does a raw request and gives status and body.
func send(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// signed makes a raw request and signs it with the SDK's signer at a time.
func signed(t *testing.T, method, url, body string, at time.Time, header map[string]string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	hash := sha256hex(body)
	req.Header.Set("X-Amz-Content-Sha256", hash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	if err := signer.SignHTTP(t.Context(), creds, req, hash, "s3", regionA, at); err != nil {
		t.Fatal(err)
	}
	return req
}

func TestRawRequests(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	now := time.Now()
	url := e.url + "/" + bucket + "/raw"
	for name, tc := range map[string]struct {
		req    func() *http.Request
		status int
		code   string
	}{
		"good": {func() *http.Request { return signed(t, "PUT", url, "v", now, nil) }, http.StatusOK, ""},
		"clock 20 minutes off": {func() *http.Request {
			return signed(t, "PUT", url, "v", now.Add(-20*time.Minute), nil)
		}, http.StatusForbidden, "RequestTimeTooSkewed"},
		"another body": {func() *http.Request {
			req := signed(t, "PUT", url, "v", now, nil)
			req.Body = io.NopCloser(strings.NewReader("w"))
			return req
		}, http.StatusBadRequest, "XAmzContentSHA256Mismatch"},
		"a header that is not signed": {func() *http.Request {
			req := signed(t, "PUT", url, "v", now, nil)
			req.Header.Set("X-Amz-Acl", "public-read")
			return req
		}, http.StatusForbidden, "AccessDenied"},
		"another method": {func() *http.Request {
			req := signed(t, "GET", url, "", now, nil)
			req.Method = "DELETE"
			return req
		}, http.StatusForbidden, "SignatureDoesNotMatch"},
		"another host": {func() *http.Request {
			req := signed(t, "GET", url, "", now, nil)
			req.Host = "127.0.0.1:1"
			return req
		}, http.StatusForbidden, "SignatureDoesNotMatch"},
		"no signature": {func() *http.Request {
			req := signed(t, "GET", url, "", now, nil)
			req.Header.Del("Authorization")
			return req
		}, http.StatusForbidden, "AccessDenied"},
		"a signature of version 2": {func() *http.Request {
			req := signed(t, "GET", url, "", now, nil)
			req.Header.Set("Authorization", "AWS "+accessKey+":c2ln")
			return req
		}, http.StatusBadRequest, "InvalidRequest"},
		"a garbled signature": {func() *http.Request {
			req := signed(t, "GET", url, "", now, nil)
			req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
			return req
		}, http.StatusBadRequest, "AuthorizationHeaderMalformed"},
		"a form": {func() *http.Request {
			return signed(t, "POST", e.url+"/"+bucket, "--b--", now, map[string]string{"Content-Type": "multipart/form-data; boundary=b"})
		}, http.StatusNotImplemented, "NotImplemented"},
		"the gateway's admin API": {func() *http.Request {
			return signed(t, "PATCH", e.url+"/list-users", "", now, nil)
		}, http.StatusMethodNotAllowed, "MethodNotAllowed"},
		"a path that could be a host": {func() *http.Request {
			req := signed(t, "PUT", e.url+"//"+bucket+"/x", "v", now, nil)
			return req
		}, http.StatusBadRequest, "InvalidURI"},
		"a query that can be read in two ways": {func() *http.Request {
			req := signed(t, "PUT", url, "v", now, nil)
			req.URL.RawQuery = "a;acl=1"
			return req
		}, http.StatusBadRequest, "InvalidURI"},
	} {
		st, body := send(t, tc.req())
		if st != tc.status || tc.code != "" && !strings.Contains(body, fmt.Sprintf("<Code>%s</Code>", tc.code)) {
			t.Errorf("%s: got %d %s, want %d %s", name, st, body, tc.status, tc.code)
		}
	}
	if got := string(get(t, e.client(), bucket, "raw")); got != "v" {
		t.Errorf("the object is %q", got)
	}
}

// TestFullAccess: a caller's temporary key does everything, unless a second
// token makes it unclear whose it is.
func TestFullAccess(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	c := e.client(asTemporary(callerToken))
	put(t, c, bucket, "callers/key", "text")
	if got := string(get(t, c, bucket, "callers/key")); got != "text" {
		t.Errorf("got %q", got)
	}
	link, err := s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("callers/key")})
	if err != nil {
		t.Fatal(err)
	}
	for add, want := range map[string]int{"": http.StatusOK, "&x-amz-security-token=" + url.QueryEscape(goodToken): http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link.URL+add, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("a link with %q: %d, want %d", add, resp.StatusCode, want)
		}
	}
	if _, err := e.client(asKey(tempKey, "wrong", callerToken)).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("callers/key")}); err == nil {
		t.Error("with a wrong secret it reads")
	}
}
