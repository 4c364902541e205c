package sigv4

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssmrun"
)

const goodAuth = "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/ssm/aws4_request, SignedHeaders=host;x-amz-date, Signature=abc/+="

func parseAuth(t *testing.T, auth string, dates ...string) (*Signed, error) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", auth)
	r.Header[headerDate] = dates
	return Parse(r)
}

func TestParseHeader(t *testing.T) {
	t.Parallel()
	want := &Signed{
		Credential:    Credential{AccessKeyID: "AKID", Date: "20261122", Region: "us-east-1", Service: "ssm"},
		Time:          time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		SignedHeaders: []string{"host", "x-amz-date"},
		Signature:     "abc/+=",
	}
	for name, auth := range map[string]string{
		"as SDKs write it": goodAuth,
		"without spaces":   strings.ReplaceAll(goodAuth, ", ", ","),
		"with more spaces": "  " + strings.ReplaceAll(goodAuth, ", ", " ,   ") + " ",
		"in another order": "AWS4-HMAC-SHA256 Signature=abc/+=, SignedHeaders=host;x-amz-date, Credential=AKID/20261122/us-east-1/ssm/aws4_request",
	} {
		got, err := parseAuth(t, auth, "20261122T120000Z")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	t.Parallel()
	const date = "20261122T120000Z"
	with := func(old, new string) string {
		changed := strings.Replace(goodAuth, old, new, 1)
		if changed == goodAuth {
			t.Fatalf("nothing replaced: %s", old)
		}
		return changed
	}
	for name, c := range map[string]struct {
		auth  string
		dates []string
		class error
		says  string
	}{
		"empty":                  {"", []string{date}, ErrIncomplete, "algorithm"},
		"basic":                  {"Basic Zm9v", []string{date}, ErrIncomplete, "algorithm"},
		"another algorithm":      {with("HMAC-SHA256", "ECDSA-P256-SHA256"), []string{date}, ErrIncomplete, "algorithm"},
		"algorithm alone":        {Algorithm, []string{date}, ErrIncomplete, "form"},
		"no credential":          {with("Credential=", "X="), []string{date}, ErrIncomplete, "requires 'Credential'"},
		"no headers":             {with("SignedHeaders=", "X="), []string{date}, ErrIncomplete, "requires 'SignedHeaders'"},
		"no signature":           {with("Signature=", "X="), []string{date}, ErrIncomplete, "requires 'Signature'"},
		"empty signature":        {with("abc/+=", ""), []string{date}, ErrIncomplete, "requires 'Signature'"},
		"twice":                  {goodAuth + ", Signature=x", []string{date}, ErrIncomplete, "form"},
		"no date":                {goodAuth, nil, ErrIncomplete, "X-Amz-Date"},
		"two dates":              {goodAuth, []string{date, date}, ErrIncomplete, "X-Amz-Date"},
		"a date of HTTP":         {goodAuth, []string{"Sun, 22 Nov 2026 12:00:00 GMT"}, ErrIncomplete, "ISO-8601"},
		"a date with a fraction": {goodAuth, []string{"20261122T120000.5Z"}, ErrIncomplete, "ISO-8601"},
		"no such date":           {goodAuth, []string{"20261131T120000Z"}, ErrIncomplete, "ISO-8601"},
		"another day":            {goodAuth, []string{"20261121T235959Z"}, ErrScope, "'20261122' != '20261121', from '20261121T235959Z'"},
		"four elements":          {with("/ssm", ""), []string{date}, ErrIncomplete, "exactly 5"},
		"six elements":           {with("AKID", "AK/ID"), []string{date}, ErrIncomplete, "exactly 5"},
		"no key id":              {with("AKID", ""), []string{date}, ErrIncomplete, "empty"},
		"no region":              {with("us-east-1", ""), []string{date}, ErrIncomplete, "empty"},
		"another end":            {with("aws4_request", "aws4"), []string{date}, ErrScope, "terminator"},
		"headers in caps":        {with("host", "Host"), []string{date}, ErrIncomplete, "lower-case"},
		"headers not sorted":     {with("host;x-amz-date", "x-amz-date;host"), []string{date}, ErrIncomplete, "sorted"},
		"a header twice":         {with("host;", "host;host;"), []string{date}, ErrIncomplete, "once"},
		"a header without name":  {with("host;", "host;;"), []string{date}, ErrIncomplete, "names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseAuth(t, c.auth, c.dates...)
			code := ssmrun.CodeIncompleteSignature
			if c.class == ErrScope {
				code = ssmrun.CodeInvalidSignature
			}
			wantError(t, err, c.class, code)
			if got := ssmrun.ErrorMessage(err); !strings.Contains(got, c.says) {
				t.Errorf("%q does not say %q", got, c.says)
			}
		})
	}
}

func TestParseUnsigned(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/?Action=GetCallerIdentity", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse(r)
	wantError(t, err, ErrMissing, ssmrun.CodeMissingAuth)
	if got := ssmrun.ErrorMessage(err); got != "Missing Authentication Token" {
		t.Error(got)
	}
}
