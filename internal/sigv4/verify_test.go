package sigv4

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"ssmrun"
)

// resignWithout signs again without some headers in SignedHeaders, as a client
// that does not know better would: the signature itself is right.
func resignWithout(r *http.Request, body string, keys Keys, left ...string) {
	s, err := Parse(r)
	if err != nil {
		panic(err)
	}
	var signed []string
	for _, name := range s.SignedHeaders {
		if !slices.Contains(left, name) {
			signed = append(signed, name)
		}
	}
	b, _ := canonical(r, s.Service, signed, PayloadHash([]byte(body)), false)
	text := stringToSign(s.Time.Format(timeLayout), s.scope(), b)
	key := SigningKey(keys.SecretAccessKey, s.Date, s.Region, s.Service)
	authorize(r, s.Credential, signed, fmt.Sprintf("%x", sum(key, text)))
}

func replaceAuth(old, with string) func(*http.Request) {
	return func(r *http.Request) {
		auth := r.Header.Get("Authorization")
		changed := strings.Replace(auth, old, with, 1)
		if changed == auth {
			panic("nothing replaced: " + old)
		}
		r.Header.Set("Authorization", changed)
	}
}

func TestVerifyRefusesTampering(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys   Keys
		tamper func(r *http.Request)
		body   string // in the place of the signed one
		class  error
		code   ssmrun.Code
	}{
		"another body":        {lasting, nil, `{}`, ErrMismatch, ssmrun.CodeInvalidSignature},
		"another operation":   {lasting, func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSSM.CancelCommand") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"operation twice":     {lasting, func(r *http.Request) { r.Header.Add("X-Amz-Target", "AmazonSSM.CancelCommand") }, "", ErrIncomplete, ssmrun.CodeIncompleteSignature},
		"operation gone":      {lasting, func(r *http.Request) { r.Header.Del("X-Amz-Target") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"operation unsigned":  {lasting, func(r *http.Request) { resignWithout(r, sendBody, lasting, "x-amz-target") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"date unsigned":       {lasting, func(r *http.Request) { resignWithout(r, sendBody, lasting, "x-amz-date") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"host unsigned":       {lasting, func(r *http.Request) { resignWithout(r, sendBody, lasting, "host") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"token unsigned":      {temporary, func(r *http.Request) { resignWithout(r, sendBody, temporary, "x-amz-security-token") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"a header added":      {lasting, func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "b") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"a header, odd case":  {lasting, func(r *http.Request) { r.Header["x-aMz-target"] = []string{"AmazonSSM.CancelCommand"} }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"another host":        {lasting, func(r *http.Request) { r.Host = "127.0.0.2:8440" }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"another type":        {lasting, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"type twice":          {lasting, func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"another method":      {lasting, func(r *http.Request) { r.Method = http.MethodPut }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"another path":        {lasting, func(r *http.Request) { r.URL.Path = "/v1/control-channel/i" }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"a query":             {lasting, func(r *http.Request) { r.URL.RawQuery = "a=b" }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"another date":        {lasting, func(r *http.Request) { r.Header.Set(headerDate, "20261122T120001Z") }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"date twice":          {lasting, func(r *http.Request) { r.Header.Add(headerDate, "20261122T120000Z") }, "", ErrIncomplete, ssmrun.CodeIncompleteSignature},
		"scope's day":         {lasting, replaceAuth("20261122", "20261121"), "", ErrScope, ssmrun.CodeInvalidSignature},
		"scope's region":      {lasting, replaceAuth("us-east-1", "eu-west-1"), "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"scope's service":     {lasting, replaceAuth("/ssm/", "/sts/"), "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"scope's end":         {lasting, replaceAuth("aws4_request", "aws5_request"), "", ErrScope, ssmrun.CodeInvalidSignature},
		"another key":         {lasting, replaceAuth(exampleKey, "AKIAOTHER"), "", ErrToken, ssmrun.CodeUnrecognizedClient},
		"someone else's key":  {lasting, replaceAuth(exampleKey, temporary.AccessKeyID), "", ErrToken, ssmrun.CodeUnrecognizedClient},
		"a token added":       {lasting, func(r *http.Request) { r.Header.Set(headerToken, "x") }, "", ErrToken, ssmrun.CodeUnrecognizedClient},
		"another token":       {temporary, func(r *http.Request) { r.Header.Set(headerToken, "x") }, "", ErrToken, ssmrun.CodeUnrecognizedClient},
		"token gone":          {temporary, func(r *http.Request) { r.Header.Del(headerToken) }, "", ErrToken, ssmrun.CodeUnrecognizedClient},
		"token twice":         {temporary, func(r *http.Request) { r.Header.Add(headerToken, temporary.SessionToken) }, "", ErrIncomplete, ssmrun.CodeIncompleteSignature},
		"signature in caps":   {lasting, upperSignature, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"signature cut":       {lasting, func(r *http.Request) { cutSignature(r, 1) }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"signature gone":      {lasting, func(r *http.Request) { cutSignature(r, 64) }, "", ErrIncomplete, ssmrun.CodeIncompleteSignature},
		"a header name added": {lasting, replaceAuth("SignedHeaders=content-length", "SignedHeaders=accept;content-length"), "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"two signatures":      {lasting, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, "", ErrIncomplete, ssmrun.CodeIncompleteSignature},
		"no signature":        {lasting, func(r *http.Request) { r.Header.Del("Authorization") }, "", ErrMissing, ssmrun.CodeMissingAuth},
		"another hash":        {lasting, func(r *http.Request) { r.Header.Set(headerPayload, PayloadHash(nil)); resign(r) }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"no hash":             {lasting, func(r *http.Request) { r.Header.Set(headerPayload, unsignedPayload); resign(r) }, "", ErrMismatch, ssmrun.CodeInvalidSignature},
		"streamed": {lasting, func(r *http.Request) {
			r.Header.Set(headerPayload, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
			resign(r)
		}, "", ErrMismatch, ssmrun.CodeInvalidSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, body := sendCommand(t, c.keys, noon)
			if err := verify(at(noon), r, []byte(body)); err != nil {
				t.Fatalf("before: %v", err)
			}
			if c.tamper != nil {
				c.tamper(r)
			}
			if c.body != "" {
				body = c.body
			}
			err := verify(at(noon), r, []byte(body))
			wantError(t, err, c.class, c.code)
			for _, k := range []Keys{lasting, temporary} {
				if s := fmt.Sprint(err); strings.Contains(s, k.SecretAccessKey) || k.SessionToken != "" && strings.Contains(s, k.SessionToken) {
					t.Errorf("%q gives a secret away", s)
				}
			}
		})
	}
}

// One line with a comma and two lines are the same to the signature, but a
// handler reads the first line only.
func TestVerifyRefusesSplitHeaders(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:8440/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "AmazonSSM.CancelCommand,AmazonSSM.SendCommand")
	r.Header.Set("X-Amz-Meta-A", "b,c")
	sdkSign(t, r, "", lasting, "ssm", noon)
	if err := verify(at(noon), received(t, r, ""), nil); err != nil {
		t.Fatal(err)
	}
	r.Header["X-Amz-Meta-A"] = []string{"b", "c"}
	if err := verify(at(noon), received(t, r, ""), nil); err != nil {
		t.Errorf("a header that may come twice: %v", err)
	}
	r.Header["X-Amz-Target"] = []string{"AmazonSSM.CancelCommand", "AmazonSSM.SendCommand"}
	wantError(t, verify(at(noon), received(t, r, ""), nil), ErrIncomplete, ssmrun.CodeIncompleteSignature)
}

func resign(r *http.Request) {
	Sign(r, []byte(sendBody), lasting, "ssm", "us-east-1", noon)
	s, err := Parse(r)
	if err != nil {
		panic(err)
	}
	// With what the header declares as the last line, as a client signs.
	b, _ := canonical(r, s.Service, s.SignedHeaders, r.Header.Get(headerPayload), false)
	key := SigningKey(lasting.SecretAccessKey, s.Date, s.Region, s.Service)
	authorize(r, s.Credential, s.SignedHeaders, fmt.Sprintf("%x", sum(key, stringToSign(s.Time.Format(timeLayout), s.scope(), b))))
}

func upperSignature(r *http.Request) {
	auth := r.Header.Get("Authorization")
	i := strings.LastIndex(auth, "=") + 1
	r.Header.Set("Authorization", auth[:i]+strings.ToUpper(auth[i:]))
}

func cutSignature(r *http.Request, n int) {
	auth := r.Header.Get("Authorization")
	r.Header.Set("Authorization", auth[:len(auth)-n])
}

func TestUnsignedPayloadIsForS3(t *testing.T) {
	t.Parallel()
	for service, ok := range map[string]bool{"s3": true, "ssm": false, "sts": false, "ec2": false, "s3express": false} {
		r, err := http.NewRequest(http.MethodPut, "http://127.0.0.1:8440/logs/key", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(headerPayload, unsignedPayload)
		sdkSign(t, r, "", lasting, service, noon)
		err = verify(at(noon), received(t, r, "anything"), []byte("anything"))
		if ok && err != nil {
			t.Errorf("%s: %v", service, err)
		}
		if !ok {
			wantError(t, err, ErrMismatch, ssmrun.CodeInvalidSignature)
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		now  time.Time
		skew time.Duration
		says string // "" is nil
	}{
		"now":              {now: noon},
		"5 min. old":       {now: noon.Add(5 * time.Minute)},
		"5 min. and 0.9 s": {now: noon.Add(5*time.Minute + 900*time.Millisecond)},
		"5 min. and 1 s": {
			now:  noon.Add(5*time.Minute + time.Second),
			says: "Signature expired: 20261122T120000Z is now earlier than 20261122T120001Z (20261122T120501Z - 5 min.)",
		},
		"20 min. old": {
			now:  noon.Add(20 * time.Minute),
			says: "Signature expired: 20261122T120000Z is now earlier than 20261122T121500Z (20261122T122000Z - 5 min.)",
		},
		"5 min. ahead": {now: noon.Add(-5 * time.Minute)},
		"5 min. and 1 s ahead": {
			now:  noon.Add(-5*time.Minute - time.Second),
			says: "Signature not yet current: 20261122T120000Z is still later than 20261122T115959Z (20261122T115459Z + 5 min.)",
		},
		"an hour ahead, in another zone": {
			now:  noon.Add(-time.Hour).In(time.FixedZone("", 7200)),
			says: "Signature not yet current: 20261122T120000Z is still later than 20261122T110500Z (20261122T110000Z + 5 min.)",
		},
		"wider":        {now: noon.Add(15 * time.Minute), skew: 15 * time.Minute},
		"wider, ahead": {now: noon.Add(-15 * time.Minute), skew: 15 * time.Minute},
		"narrower": {
			now: noon.Add(31 * time.Second), skew: 30 * time.Second,
			says: "Signature expired: 20261122T120000Z is now earlier than 20261122T120001Z (20261122T120031Z - 30 s.)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, body := sendCommand(t, lasting, noon)
			v := at(c.now)
			v.MaxSkew = c.skew
			err := verify(v, r, []byte(body))
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, ErrClock, ssmrun.CodeInvalidSignature)
			if got := ssmrun.ErrorMessage(err); got != c.says {
				t.Errorf("got  %s\nwant %s", got, c.says)
			}
			// Without the key nobody learns our clock.
			cutSignature(r, 1)
			wantError(t, verify(v, r, []byte(body)), ErrMismatch, ssmrun.CodeInvalidSignature)
		})
	}
}

// presign is a presigned request of the SDK's signer.
func presign(t *testing.T, service, query, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:8440/a%20b?"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 0
	hash := PayloadHash([]byte(body))
	if service == serviceS3 {
		hash = unsignedPayload
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == serviceS3 })
	uri, _, err := signer.PresignHTTP(context.Background(), sdkKeys(temporary), r, hash, service, "us-east-1", noon)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := http.NewRequest(http.MethodGet, uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	return received(t, sent, body)
}

func TestPresigned(t *testing.T) {
	t.Parallel()
	edit := func(old, with string) func(*http.Request) {
		return func(r *http.Request) {
			changed := strings.Replace(r.URL.RawQuery, old, with, 1)
			if changed == r.URL.RawQuery {
				panic("nothing replaced: " + old)
			}
			r.URL.RawQuery = changed
		}
	}
	for name, c := range map[string]struct {
		service, query string
		tamper         func(*http.Request)
		body           string
		after          time.Duration
		class          error
	}{
		"good":                     {"s3", "X-Amz-Expires=60", nil, "", 0, nil},
		"good, any body":           {"s3", "X-Amz-Expires=60", nil, "any", 0, nil},
		"good to its end":          {"s3", "X-Amz-Expires=60", nil, "", time.Minute, nil},
		"good for a week":          {"s3", "X-Amz-Expires=604800", nil, "", MaxExpires, nil},
		"good without an end":      {"sts", "Action=GetCallerIdentity", nil, "", DefaultExpires, nil},
		"expired":                  {"s3", "X-Amz-Expires=60", nil, "", time.Minute + time.Second, ErrClock},
		"expired without an end":   {"sts", "Action=GetCallerIdentity", nil, "", DefaultExpires + time.Second, ErrClock},
		"not yet":                  {"s3", "X-Amz-Expires=60", nil, "", -5*time.Minute - time.Second, ErrClock},
		"a longer life":            {"s3", "X-Amz-Expires=60", edit("Expires=60", "Expires=6000"), "", 0, ErrMismatch},
		"over a week":              {"s3", "X-Amz-Expires=604801", nil, "", 0, ErrIncomplete},
		"no life":                  {"s3", "X-Amz-Expires=0", nil, "", 0, ErrIncomplete},
		"a life of letters":        {"s3", "X-Amz-Expires=1e3", nil, "", 0, ErrIncomplete},
		"s3 without an end":        {"s3", "a=b", nil, "", 0, ErrIncomplete},
		"another parameter":        {"sts", "Action=GetCallerIdentity", edit("GetCallerIdentity", "AssumeRole"), "", 0, ErrMismatch},
		"a parameter more":         {"sts", "Action=GetCallerIdentity", edit("Action=", "Action=AssumeRole&Action="), "", 0, ErrMismatch},
		"a body":                   {"sts", "Action=GetCallerIdentity", nil, "Action=AssumeRole", 0, ErrMismatch},
		"another token":            {"s3", "X-Amz-Expires=60", edit("Security-Token=", "Security-Token=x"), "", 0, ErrToken},
		"two dates":                {"s3", "X-Amz-Expires=60", edit("X-Amz-Date=", "X-Amz-Date=20261122T120000Z&X-Amz-Date="), "", 0, ErrIncomplete},
		"two signatures":           {"s3", "X-Amz-Expires=60", edit("X-Amz-Signature=", "X-Amz-Signature=00&X-Amz-Signature="), "", 0, ErrIncomplete},
		"no signature":             {"s3", "X-Amz-Expires=60", edit("X-Amz-Signature=", "X-Amz-Nothing="), "", 0, ErrIncomplete},
		"another algorithm":        {"s3", "X-Amz-Expires=60", edit("AWS4-HMAC", "AWS4-ECDSA"), "", 0, ErrIncomplete},
		"an unsigned header":       {"s3", "X-Amz-Expires=60", func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, "", 0, ErrMismatch},
		"a header of its own":      {"s3", "X-Amz-Expires=60", func(r *http.Request) { r.Header.Set("Authorization", Algorithm) }, "", 0, ErrIncomplete},
		"a query that is no query": {"s3", "X-Amz-Expires=60", edit("X-Amz-Date", "%zz&X-Amz-Date"), "", 0, ErrIncomplete},
		"a semicolon":              {"s3", "X-Amz-Expires=60", edit("X-Amz-Date", "a=1;b&X-Amz-Date"), "", 0, ErrIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := ""
			r := presign(t, c.service, c.query, body)
			if c.body != "" {
				body = c.body
			}
			if c.tamper != nil {
				c.tamper(r)
			}
			err := verify(at(noon.Add(c.after)), r, []byte(body))
			if c.class == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, c.class, ssmrun.ErrorCode(err))
		})
	}
}

func TestRequireScope(t *testing.T) {
	t.Parallel()
	c := Credential{AccessKeyID: "AKID", Date: "20261122", Region: "us-east-1", Service: "ssm"}
	served := func(region string) bool { return region == "us-east-1" }
	if err := c.RequireScope("ssm", served); err != nil {
		t.Error(err)
	}
	wantError(t, c.RequireScope("sts", served), ErrScope, ssmrun.CodeInvalidSignature)
	c.Region = "moon-1"
	err := c.RequireScope("ssm", served)
	wantError(t, err, ErrScope, ssmrun.CodeInvalidSignature)
	if got := ssmrun.ErrorMessage(err); got != "Credential should be scoped to a valid region, not 'moon-1'." {
		t.Error(got)
	}
}

func TestCodeFor(t *testing.T) {
	t.Parallel()
	wrapped := fmt.Errorf("verify: %w", mismatch())
	for _, c := range []struct {
		service string
		err     error
		want    ssmrun.Code
	}{
		{"ssm", wrapped, ssmrun.CodeInvalidSignature},
		{"sts", wrapped, "SignatureDoesNotMatch"},
		{"ec2", wrapped, "AuthFailure"},
		{"s3", wrapped, "SignatureDoesNotMatch"},
		{"ec2messages", UnknownKey(), ssmrun.CodeUnrecognizedClient},
		{"sts", UnknownKey(), "InvalidClientTokenId"},
		{"s3", UnknownKey(), "InvalidAccessKeyId"},
		{"ssm", missing(), ssmrun.CodeMissingAuth},
		{"sts", missing(), "MissingAuthenticationToken"},
		{"ec2", invalid(ErrClock, ""), "RequestExpired"},
		{"s3", invalid(ErrClock, ""), "RequestTimeTooSkewed"},
		{"sts", invalid(ErrClock, ""), "SignatureDoesNotMatch"},
		{"sts", incomplete(""), "IncompleteSignature"},
		{"sts", ssmrun.Errorf(ssmrun.CodeThrottling, ""), ssmrun.CodeThrottling},
	} {
		if got := CodeFor(c.service, c.err); got != c.want {
			t.Errorf("%s, %v: %s, want %s", c.service, c.err, got, c.want)
		}
	}
	for service, table := range codes {
		for _, class := range []error{ErrMissing, ErrIncomplete, ErrMismatch, ErrClock, ErrScope, ErrToken} {
			if table[class] == "" {
				t.Errorf("%s has no code for %v", service, class)
			}
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(format, temporary) + fmt.Sprintf(format, &temporary); strings.Contains(s, temporary.SecretAccessKey) || strings.Contains(s, temporary.SessionToken) {
			t.Errorf("%s prints %s", format, s)
		}
	}
	if got := temporary.LogValue().String(); got != temporary.AccessKeyID {
		t.Errorf("logs %s", got)
	}
}

func TestKeyCache(t *testing.T) {
	t.Parallel()
	v := at(noon)
	r, body := sendCommand(t, lasting, noon)
	wrong := r.Clone(t.Context())
	cutSignature(wrong, 1)
	if err := verify(v, wrong, []byte(body)); err == nil {
		t.Fatal("a wrong signature was taken")
	}
	if n := len(v.keys.young); n != 0 {
		t.Fatalf("%d keys kept of requests that were refused", n)
	}
	for range 3 {
		if err := verify(v, r, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(v.keys.young); n != 1 {
		t.Fatalf("%d keys", n)
	}

	var c keyCache
	scope := func(i int) keyScope { return keyScope{secret: fmt.Sprint(i)} }
	for i := range 3 * generation {
		c.put(scope(i), []byte{byte(i)})
		if _, ok := c.get(scope(0)); !ok {
			t.Fatalf("a key in use was forgotten after %d others", i)
		}
	}
	if n := len(c.young) + len(c.old); n > 2*generation {
		t.Errorf("%d keys", n)
	}
	if _, ok := c.get(scope(1)); ok {
		t.Error("a key not in use was kept")
	}
}
