package objects

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func headBucket(t *testing.T, c *s3.Client, bucket string) (*s3.HeadBucketOutput, error) {
	t.Helper()
	return c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: &bucket})
}

func TestHeadBucket(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	out, err := headBucket(t, e.client(), bucket)
	if err != nil || aws.ToString(out.BucketRegion) != regionA {
		t.Errorf("an own bucket: %+v, %v", out, err)
	}
	_, err = headBucket(t, e.client(), "no-such-bucket")
	want(t, err, http.StatusNotFound, "NotFound")
	_, err = headBucket(t, e.client(asKey(accessKey, "wrong", "")), bucket)
	want(t, err, http.StatusForbidden, "")
	_, err = headBucket(t, e.client(asKey("AKIAUNKNOWN000000000", secretKey, "")), bucket)
	want(t, err, http.StatusForbidden, "")
	_, err = headBucket(t, e.client(asKey(accessKey, "wrong", "")), "no-such-bucket")
	want(t, err, http.StatusForbidden, "") // who is nobody does not learn what is there
}

// What stands around Handler has its own Date; the gateway's name is no business of clients.
func TestHeadersOfAnswers(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
		e.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	for _, key := range []string{"", "/none"} {
		req := signed(t, "GET", web.URL+"/"+bucket+key, "", time.Now(), nil)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header["Date"]; len(got) != 1 || got[0] != "Thu, 01 Jan 2026 00:00:00 GMT" {
			t.Errorf("%q: Date: %q", key, got)
		}
		if len(resp.Header["X-Amz-Request-Id"]) != 1 || resp.Header.Get("Server") != "" {
			t.Errorf("%q: %v", key, resp.Header)
		}
	}
}

func TestErrorsNameTheirCause(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	list := func(opts ...as) error {
		_, err := e.client(opts...).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
		return err
	}
	want(t, list(), 0, "")
	want(t, list(asKey(accessKey, "wrong", "")), http.StatusForbidden, "SignatureDoesNotMatch")
	want(t, list(asKey("AKIAUNKNOWN000000000", secretKey, "")), http.StatusForbidden, "InvalidAccessKeyId")
	want(t, list(asKey(DefaultAccountID, "guessed", "")), http.StatusForbidden, "SignatureDoesNotMatch") // the gateway's own account
	_, err := e.client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("no-such-bucket")})
	want(t, err, http.StatusNotFound, "NoSuchBucket")
	_, err = e.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("none")})
	want(t, err, http.StatusNotFound, "NoSuchKey")
}

func TestMakeListAndRemoveBuckets(t *testing.T) {
	t.Parallel()
	e, other := shared(t)
	c := e.client()
	bucket := other + "-made"
	create := func(c *s3.Client, in *s3.CreateBucketInput) error {
		_, err := c.CreateBucket(t.Context(), in)
		return err
	}
	if err := create(c, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	want(t, create(c, &s3.CreateBucketInput{Bucket: &bucket}), http.StatusConflict, "BucketAlreadyOwnedByYou")
	want(t, create(c, &s3.CreateBucketInput{Bucket: aws.String("xn--logs")}), http.StatusBadRequest, "InvalidBucketName")
	want(t, create(c, &s3.CreateBucketInput{Bucket: aws.String("Logs")}), http.StatusBadRequest, "InvalidBucketName")
	want(t, create(e.client(asTemporary(goodToken)), &s3.CreateBucketInput{Bucket: aws.String(bucket + "-2")}), http.StatusForbidden, "AccessDenied")

	out, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, b := range out.Buckets {
		found[*b.Name] = true
	}
	if !found[bucket] || !found[other] || found["buckets"] {
		t.Errorf("listed: %v", found)
	}

	put(t, c, bucket, "k", "v")
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &bucket})
	want(t, err, http.StatusConflict, "BucketNotEmpty")
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("k")}); err != nil {
		t.Error(err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &bucket}); err != nil {
		t.Error(err)
	}
	_, err = headBucket(t, c, bucket)
	want(t, err, http.StatusNotFound, "")
	if err := e.EnsureBucket(t.Context(), bucket, regionB); err != nil {
		t.Errorf("make it again, in another region: %v", err)
	}
}

func TestEnsureBucket(t *testing.T) {
	t.Parallel()
	e, bucket := shared(t)
	put(t, e.client(), bucket, "k", "v")
	if err := e.EnsureBucket(t.Context(), bucket, regionA); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	for _, tc := range []struct{ name, region, want string }{
		{bucket, regionB, "already there, in region " + regionA},
		{"Logs", regionA, `"Logs" cannot be`},
		{"logs", "ap-east-1", `region "ap-east-1" is not served, only us-east-1, eu-west-1`},
	} {
		if err := e.EnsureBucket(t.Context(), tc.name, tc.region); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s in %s: got %v, want %q", tc.name, tc.region, err, tc.want)
		}
	}
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = e.EnsureBucket(t.Context(), bucket+"-many", regionB) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("many at once: %v", err)
	}
	// The bucket is one like any other: with an owner, an expected one included, and private files.
	_, err := e.client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, ExpectedBucketOwner: aws.String(DefaultAccountID)})
	want(t, err, 0, "")
	_, err = e.client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, ExpectedBucketOwner: aws.String("111122223333")})
	want(t, err, http.StatusForbidden, "AccessDenied")
	for path, mode := range map[string]os.FileMode{"": 0o700, bucket: 0o700, bucket + "/k": 0o600} {
		fi, err := os.Stat(filepath.Join(e.cfg.Dir, "buckets", path))
		if err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v, want mode %v", path, fi, err, mode)
		}
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	e, inA := shared(t)
	a, b := e.client(), e.client(inRegion(regionB))
	inB := inA + "-b"
	constraint := func(region string) *types.CreateBucketConfiguration {
		return &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	_, err := b.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &inB, CreateBucketConfiguration: constraint(regionB)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(inA + "-c"), CreateBucketConfiguration: constraint(regionB)})
	want(t, err, http.StatusBadRequest, "InvalidLocationConstraint")
	_, err = a.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &inB})
	want(t, err, http.StatusConflict, "BucketAlreadyOwnedByYou")

	put(t, b, inB, "k", "v")
	out, err := headBucket(t, b, inB)
	if err != nil || aws.ToString(out.BucketRegion) != regionB {
		t.Errorf("head: %+v, %v", out, err)
	}
	location, err := b.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: &inB})
	if err != nil || location.LocationConstraint != regionB {
		t.Errorf("location: %+v, %v", location, err)
	}

	_, err = a.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &inB})
	want(t, err, http.StatusMovedPermanently, "PermanentRedirect")
	_, err = e.client(inRegion("ap-east-1")).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &inB})
	want(t, err, http.StatusBadRequest, "AuthorizationHeaderMalformed")
	if err == nil || !strings.Contains(err.Error(), "'ap-east-1' is wrong; expecting '"+regionB+"'") {
		t.Errorf("the right region is not named: %v", err)
	}

	// A HEAD has no body: the header alone tells where the bucket is, as in S3 whoever asks.
	for name, tc := range map[string]struct {
		opts   []as
		status int
	}{
		"signed for another region":      {nil, http.StatusMovedPermanently},
		"for a region that is no region": {[]as{inRegion("ap-east-1")}, http.StatusBadRequest},
		"with a wrong key":               {[]as{inRegion(regionB), asKey(accessKey, "wrong", "")}, http.StatusForbidden},
		"without a signature":            {[]as{func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} }}, http.StatusForbidden},
	} {
		_, err := headBucket(t, e.client(tc.opts...), inB)
		want(t, err, tc.status, "")
		if got := responseHeader(err, regionHeader); got != regionB {
			t.Errorf("%s: %s is %q, want %q", name, regionHeader, got, regionB)
		}
	}
	_, err = headBucket(t, a, "no-such-bucket")
	if got := responseHeader(err, regionHeader); got != "" {
		t.Errorf("no bucket, but %s is %q", regionHeader, got)
	}
}
