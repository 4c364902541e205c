package objects

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	const auth = "AWS4-HMAC-SHA256 Credential=AKIA1/20260102/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=ff"
	domains := []string{"s3.lab.test", "localhost"}
	for _, tc := range []struct {
		host, uri, auth, token string
		want                   target // without query
		refused                *refusal
	}{
		{host: "127.0.0.1:8440", uri: "/b/k/l", auth: auth, want: target{bucket: "b", key: "k/l", accessKeyID: "AKIA1", region: "eu-west-1", signed: true}},
		{host: "h", uri: "/", auth: auth, want: target{accessKeyID: "AKIA1", region: "eu-west-1", signed: true}},
		{host: "h", uri: "/b/", want: target{bucket: "b"}},
		{host: "h", uri: "/b//k", want: target{bucket: "b", key: "/k"}},
		{host: "h", uri: "/b%2Fk", want: target{bucket: "b", key: "k"}},
		{host: "h", uri: "/b", auth: auth, token: "t", want: target{bucket: "b", accessKeyID: "AKIA1", region: "eu-west-1", signed: true, temporary: true}},
		{
			host: "h", uri: "/b?X-Amz-Algorithm=A&X-Amz-Credential=AKIA2%2F20260102%2Fus-east-1%2Fs3%2Faws4_request",
			want: target{bucket: "b", accessKeyID: "AKIA2", region: "us-east-1", signed: true},
		},
		{host: "h", uri: "/b?x-amz-security-token=", want: target{bucket: "b", temporary: true}},
		{host: "h", uri: "/b", auth: "AWS4-HMAC-SHA256 nothing", want: target{bucket: "b", signed: true}},
		{host: "h", uri: "/b", auth: "AWS4-HMAC-SHA256 Credential=a/b/c", want: target{bucket: "b", signed: true}},
		{host: "b.s3.lab.test:8443", uri: "/k/l", want: target{bucket: "b", key: "k/l", domain: "s3.lab.test"}},
		{host: "B.S3.Lab.Test", uri: "/", want: target{bucket: "b", domain: "s3.lab.test"}},
		{host: "my.logs.s3.lab.test", uri: "/", want: target{bucket: "my.logs", domain: "s3.lab.test"}},
		{host: "b.localhost:8440", uri: "/k", want: target{bucket: "b", key: "k", domain: "localhost"}},
		{host: "localhost:8440", uri: "/b/k", want: target{bucket: "b", key: "k"}},
		{host: "s3.lab.test:1", uri: "/b/k", want: target{bucket: "b", key: "k"}},
		{host: "b.s3.lab.test.evil", uri: "/k", refused: errInvalidURI},
		{host: "b.s3.lab.testing", uri: "/k", refused: errInvalidURI},
		{host: "h", uri: "//b/k", refused: errInvalidURI},
		{host: "h", uri: "/b/k?a;b", refused: errInvalidURI},
		{host: "h", uri: "/b/k?a=%zz", refused: errInvalidURI},
		{host: "h", uri: "/b/../c/k", refused: errKeyParts},
		{host: "h", uri: "/b/%2e%2e%2fc/k", refused: errKeyParts},
		{host: "h", uri: "/b/k/.", refused: errKeyParts},
		{host: "h", uri: "/b/.sgwtmp/multipart/k", refused: errKeyParts},
		{host: "h", uri: "/b/k%00", refused: errKeyParts},
		{host: "h", uri: "/b/" + strings.Repeat("k", 1024), want: target{bucket: "b", key: strings.Repeat("k", 1024)}},
		{host: "h", uri: "/b/" + strings.Repeat("k", 1025), refused: errKeyTooLong},
	} {
		u, err := url.ParseRequestURI(tc.uri)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: "GET", Host: tc.host, URL: u, Header: http.Header{}}
		if tc.auth != "" {
			r.Header.Set("Authorization", tc.auth)
		}
		if tc.token != "" {
			r.Header.Set("X-Amz-Security-Token", tc.token)
		}
		got, refused := parseTarget(r, domains)
		if refused != tc.refused {
			t.Errorf("%s%.40s: refused %+v, want %+v", tc.host, tc.uri, refused, tc.refused)
			continue
		}
		if refused != nil {
			continue
		}
		if g, w := got, tc.want; g.bucket != w.bucket || g.key != w.key || g.domain != w.domain || g.accessKeyID != w.accessKeyID ||
			g.region != w.region || g.signed != w.signed || g.temporary != w.temporary {
			t.Errorf("%s%.40s: got %+v, want %+v", tc.host, tc.uri, g, w)
		}
	}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		request string // method, path and query
		copies  bool
		want    bool
	}{
		{"HEAD /b", false, true},
		{"GET /b?location", false, true},
		{"GET /b?encryption=", false, true},
		{"PUT /b/k", false, true},
		{"PUT /b/k?x-id=PutObject", false, true},
		{"POST /b/k?uploads=", false, true},
		{"POST /b/k?uploads&x-id=CreateMultipartUpload", false, true},
		{"PUT /b/k?partNumber=1&uploadId=u", false, true},
		{"POST /b/k?uploadId=u", false, true},
		{"DELETE /b/k?uploadId=u&x-id=AbortMultipartUpload", false, true},

		{"GET /", false, false},
		{"HEAD /", false, false},
		{"PUT /b", false, false},
		{"PUT /b/", false, false},
		{"DELETE /b", false, false},
		{"GET /b", false, false},
		{"GET /b?location&prefix=", false, false},
		{"GET /b?location=&policy=", false, false},
		{"HEAD /b?policy", false, false},
		{"GET /b?list-type=2", false, false},
		{"POST /b?delete", false, false},
		{"GET /b/k", false, false},
		{"HEAD /b/k", false, false},
		{"DELETE /b/k", false, false},
		{"DELETE /b/k?versionId=1", false, false},
		{"PUT /b/k?acl", false, false},
		{"PUT /b/k?a%63l", false, false},
		{"PUT /b/k?tagging", false, false},
		{"PUT /b/k?partNumber=1", false, false},
		{"PUT /b/k?partNumber=1&uploadId=u&retention", false, false},
		{"GET /b/k?uploadId=u", false, false},
		{"POST /b/k?select&select-type=2", false, false},
		{"POST /b/k?restore", false, false},
		{"PUT /b/k", true, false},
		{"PUT /b/k?partNumber=1&uploadId=u", true, false},
		{"PATCH /b/k", false, false},
	} {
		method, uri, _ := strings.Cut(tc.request, " ")
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: method, Host: "h", URL: u, Header: http.Header{}}
		if tc.copies {
			r.Header.Set("X-Amz-Copy-Source", "b/other")
		}
		target, refused := parseTarget(r, nil)
		if refused != nil {
			t.Fatalf("%s: %+v", tc.request, refused)
		}
		if got := target.uploads(r.Method, r.Header); got != tc.want {
			t.Errorf("%s (copy: %t): got %t", tc.request, tc.copies, got)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("127.0.0.1", "/b/k?partNumber=1", "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request,", "t")
	f.Add("b.s3.lab.test:1", "/k/../l?X-Amz-Credential=a/b/c/d/e&X-Amz-Algorithm=x", "", "")
	f.Add(".s3.lab.test", "//x", "Credential=", "")
	f.Add("b.s3.lab.test.s3.lab.test", "/%2e%2e/", "AWS a:b", "")
	domains := []string{"s3.lab.test"}
	f.Fuzz(func(t *testing.T, host, uri, auth, token string) {
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			return
		}
		r := &http.Request{Method: "PUT", Host: host, URL: u, Header: http.Header{"Authorization": {auth}, "X-Amz-Security-Token": {token}}}
		got, refused := parseTarget(r, domains)
		if refused != nil {
			return
		}
		if strings.HasPrefix(u.Path, "//") {
			t.Errorf("taken: %q", u.Path)
		}
		if strings.Contains(got.bucket, "/") && got.domain == "" || got.domain == "" && "/"+got.bucket+"/"+got.key != u.Path && "/"+got.bucket != u.Path {
			t.Errorf("%q is not bucket %q and key %q", u.Path, got.bucket, got.key)
		}
		for part := range strings.SplitSeq(got.key, "/") {
			if part == ".." || part == "." {
				t.Errorf("key %q leads elsewhere", got.key)
			}
		}
		if token != "" && !got.temporary || auth != "" && !got.signed {
			t.Errorf("token %q, authorization %q: %+v", token, auth, got)
		}
		if got.bucket != "" && got.key == "" && got.uploads(http.MethodPut, r.Header) {
			t.Errorf("an agent may make bucket %q", got.bucket)
		}
	})
}
