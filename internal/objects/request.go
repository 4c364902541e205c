package objects

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// maxKey is S3's limit for a key in bytes; the gateway knows only those of the file system.
const maxKey = 1024

var port = regexp.MustCompile(`^:[0-9]{0,5}$`)

// target is what a request is about, read from it without any trust: the
// gateway verifies the signature afterwards over the same bytes.
type target struct {
	bucket, key string // "" where the request names none; key without a leading slash
	domain      string // the domain of Config under which bucket is the host's first part; "" for paths

	accessKeyID string
	region      string // of the credential scope, "" where it cannot be read
	signed      bool   // carries a signature of any kind
	temporary   bool   // carries a session token
	tokens      []string

	query url.Values
}

// parseTarget reads a request. The only error is a request that Handler and the
// gateway could understand differently.
func parseTarget(r *http.Request, domains []string) (target, *refusal) {
	var t target
	// versitygw would take the first part of such a path for a host name.
	if strings.HasPrefix(r.URL.Path, "//") || !strings.HasPrefix(r.URL.Path, "/") {
		return t, errInvalidURI
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return t, errInvalidURI
	}
	t.query = query
	if refused := t.locate(strings.ToLower(r.Host), r.URL.Path, domains); refused != nil {
		return t, refused
	}
	t.readScope(r.Header.Get("Authorization"))
	for _, token := range r.Header.Values("X-Amz-Security-Token") {
		t.temporary = t.temporary || token != ""
		t.tokens = append(t.tokens, token)
	}
	for name, tokens := range query {
		if strings.EqualFold(name, "X-Amz-Security-Token") {
			t.temporary = true
			t.tokens = append(t.tokens, tokens...)
		}
	}
	return t, nil
}

// locate finds bucket and key by the gateway's own rule for virtual hosts: the
// host is cut at the first occurrence of the domain.
func (t *target) locate(host, path string, domains []string) *refusal {
	for _, domain := range domains {
		bucket, rest, found := strings.Cut(host, "."+domain)
		if !found || bucket == "" {
			continue
		}
		if rest != "" && !port.MatchString(rest) {
			return errInvalidURI
		}
		t.bucket, t.domain, t.key = bucket, domain, path[1:]
		return checkKey(t.key)
	}
	t.bucket, t.key, _ = strings.Cut(path[1:], "/")
	return checkKey(t.key)
}

// checkKey refuses keys that would lead to another file than they say, or into
// the gateway's own folder for unfinished uploads.
func checkKey(key string) *refusal {
	for part := range strings.SplitSeq(key, "/") {
		if part == "." || part == ".." || strings.HasPrefix(part, ".sgwtmp") {
			return errKeyParts
		}
	}
	if strings.ContainsRune(key, 0) {
		return errKeyParts
	}
	if len(key) > maxKey {
		return errKeyTooLong
	}
	return nil
}

// readScope takes access key and region from the credential scope,
// KEY/yyyymmdd/REGION/s3/aws4_request, of the header or of a presigned query.
func (t *target) readScope(authorization string) {
	credential := t.query.Get("X-Amz-Credential")
	t.signed = t.query.Get("X-Amz-Algorithm") != "" || authorization != ""
	if authorization != "" {
		_, credential, _ = strings.Cut(authorization, "Credential=")
		credential, _, _ = strings.Cut(credential, ",")
	}
	if parts := strings.Split(strings.TrimSpace(credential), "/"); len(parts) == 5 {
		t.accessKeyID, t.region = parts[0], parts[2]
	}
}

// createsBucket tells CreateBucket from the other requests about a bucket.
func (t *target) createsBucket(method string) bool {
	return method == http.MethodPut && t.bucket != "" && t.key == "" && t.onlyQuery()
}

// onlyQuery tells whether the query holds, besides what signs the request and
// the SDKs' x-id, exactly the given names.
func (t *target) onlyQuery(names ...string) bool {
	found := 0
	for name := range t.query {
		switch name {
		case "x-id", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
			"X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Content-Sha256":
			continue
		}
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			return false
		}
		found++
	}
	return found == len(names)
}

// uploads tells whether the request is one that an agent needs to leave an output:
// looking for the bucket, its region and its encryption, and putting an object, in
// one piece or in parts. What is not listed is not allowed.
func (t *target) uploads(method string, header http.Header) bool {
	if t.bucket == "" {
		return false
	}
	if t.key == "" {
		return method == http.MethodHead && t.onlyQuery() ||
			method == http.MethodGet && (t.onlyQuery("location") || t.onlyQuery("encryption"))
	}
	switch method {
	case http.MethodPut:
		// A copy would read another object.
		if header.Get("X-Amz-Copy-Source") != "" {
			return false
		}
		return t.onlyQuery() || t.onlyQuery("partNumber", "uploadId")
	case http.MethodPost:
		return t.onlyQuery("uploads") || t.onlyQuery("uploadId")
	case http.MethodDelete:
		return t.onlyQuery("uploadId")
	}
	return false
}
