package sigv4

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzParse feeds headers and queries that nobody signed: no panic, and nothing
// of it is ever verified.
func FuzzParse(f *testing.F) {
	f.Add(goodAuth, "20261122T120000Z", "", "/", "")
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Fus-east-1%2Fs3%2Faws4_request"+
		"&X-Amz-Date=20261122T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00", "/a%20b", "")
	f.Add(strings.ReplaceAll(goodAuth, "AKID", exampleKey), "20261122T120000Z", "a=b;c&%zz", "//..//%2f", "UNSIGNED-PAYLOAD")
	f.Add(Algorithm+" Credential=,SignedHeaders=;,Signature=", "", "&&=&", "", "x")
	f.Fuzz(func(t *testing.T, auth, date, query, path, payload string) {
		r := &http.Request{
			Method: http.MethodPost, Host: "127.0.0.1", Header: http.Header{},
			URL: &url.URL{Path: path, RawPath: path, RawQuery: query},
		}
		for name, value := range map[string]string{"Authorization": auth, headerDate: date, headerPayload: payload} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		s, err := Parse(r)
		if err != nil {
			if s != nil {
				t.Fatalf("%+v and %v", s, err)
			}
			return
		}
		if s.AccessKeyID == "" || s.Service == "" || s.Signature == "" || len(s.SignedHeaders) == 0 || s.Time.IsZero() {
			t.Fatalf("parsed %+v", s)
		}
		v := at(s.Time)
		if err := v.Verify(r, s, PayloadHash(nil), "a secret that was used for nothing", s.SessionToken); err == nil {
			t.Fatal("verified what nobody signed")
		}
		if err := v.VerifyRSA(r, s, PayloadHash(nil), &rsaKeys()[0].PublicKey); err == nil {
			t.Fatal("verified what nobody signed")
		}
	})
}

// FuzzVerify takes a good request and puts something else in one place: it is
// refused unless it says the same as before.
func FuzzVerify(f *testing.F) {
	good, body := sendCommand(f, temporary, noon)
	s, err := Parse(good)
	if err != nil {
		f.Fatal(err)
	}
	auth := good.Header.Get("Authorization")
	f.Add(auth, "AmazonSSM.SendCommand", "", "/", body)
	f.Add(strings.Replace(auth, s.Signature, strings.ToUpper(s.Signature), 1), "AmazonSSM.SendCommand", "", "/", body)
	f.Add(strings.Replace(auth, ";x-amz-target", "", 1), "AmazonSSM.CancelCommand", "", "/", body)
	f.Add(auth, "AmazonSSM.SendCommand", "a=b", "/x", body+" ")
	f.Fuzz(func(t *testing.T, auth, target, query, path, sent string) {
		r := good.Clone(t.Context())
		r.Header.Set("Authorization", auth)
		r.Header.Set("X-Amz-Target", target)
		r.URL.RawQuery, r.URL.Path = query, path
		if err := verify(at(noon), r, []byte(sent)); err != nil {
			return
		}
		now, err := Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		// Spaces, and a path or query of nothing, are the same request.
		same := now.Signature == s.Signature && now.Credential == s.Credential && sent == body &&
			strings.Join(strings.Fields(target), " ") == "AmazonSSM.SendCommand" &&
			strings.Trim(query, "&") == "" && (path == "/" || path == "")
		if !same {
			t.Fatalf("verified %q %q %q %q", target, query, path, sent)
		}
	})
}
