package sigv4

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"ssmrun"
)

// Examples of AWS's documentation.
const (
	exampleKey    = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var (
	lasting   = Keys{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret}
	temporary = Keys{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: exampleSecret + "2", SessionToken: "IQoJb3Jp//token+with/signs=="}
	noon      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func at(t time.Time) *Verifier { return &Verifier{Now: func() time.Time { return t }} }

// verify is what the service does with a request.
func verify(v *Verifier, r *http.Request, body []byte) error {
	s, err := Parse(r)
	if err != nil {
		return err
	}
	for _, k := range []Keys{lasting, temporary} {
		if k.AccessKeyID == s.AccessKeyID {
			return v.Verify(r, s, PayloadHash(body), k.SecretAccessKey, k.SessionToken)
		}
	}
	return UnknownKey()
}

// received is a request as a server sees it.
func received(t testing.TB, sent *http.Request, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(sent.Method, sent.URL.String(), strings.NewReader(body))
	r.Host = sent.Host
	if r.Host == "" {
		r.Host = sent.URL.Host
	}
	r.Header = sent.Header.Clone()
	return r
}

const sendBody = `{"DocumentName":"AWS-RunShellScript","InstanceIds":["i-0123456789abcdef0"],"Parameters":{"commands":["true"]}}`

// sendCommand is a signed call of the JSON protocol.
func sendCommand(t testing.TB, k Keys, when time.Time) (*http.Request, string) {
	t.Helper()
	const body = sendBody
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:8440/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.SendCommand")
	sdkSign(t, r, body, k, "ssm", when)
	return received(t, r, body), body
}

// sdkSign signs with the SDK's own signer, the oracle of this package.
func sdkSign(t testing.TB, r *http.Request, body string, k Keys, service string, when time.Time) {
	t.Helper()
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == serviceS3 })
	hash := PayloadHash([]byte(body))
	if h := r.Header.Get(headerPayload); h != "" {
		hash = h
	}
	if err := signer.SignHTTP(context.Background(), sdkKeys(k), r, hash, service, "us-east-1", when); err != nil {
		t.Fatal(err)
	}
}

func sdkKeys(k Keys) aws.Credentials {
	return aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey, SessionToken: k.SessionToken}
}

// wantError checks the class and the code of an error.
func wantError(t testing.TB, err, class error, code ssmrun.Code) {
	t.Helper()
	if !errors.Is(err, class) || ssmrun.ErrorCode(err) != code {
		t.Errorf("got %v (code %s), want %v (code %s)", err, ssmrun.ErrorCode(err), class, code)
	}
}

// service is a server that verifies and then answers as little as clients take.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	verdicts []error
	seen     []Signed
}

func newService(t testing.TB, v *Verifier) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verify(v, r, body)
		}
		signed, _ := Parse(r)
		s.mu.Lock()
		s.verdicts = append(s.verdicts, err)
		if signed != nil {
			s.seen = append(s.seen, *signed)
		}
		s.mu.Unlock()
		if v.Now != nil {
			w.Header().Set("Date", v.Now().UTC().Format(http.TimeFormat))
		}
		switch {
		case err != nil:
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"`+string(ssmrun.ErrorCode(err))+`"}`)
		case signed.Service == "ssm":
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = io.WriteString(w, `{}`)
		case signed.Service == "sts":
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, `<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>`)
		case signed.Service == "ec2":
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, `<DescribeInstancesResponse/>`)
		case r.URL.Query().Has("list-type"):
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, `<ListBucketResult/>`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// take returns what was verified since the last call.
func (s *service) take() (verdicts []error, seen []Signed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	verdicts, seen = s.verdicts, s.seen
	s.verdicts, s.seen = nil, nil
	return verdicts, seen
}

// accepted checks that one request came for the service, and was verified.
func (s *service) accepted(t testing.TB, service string) {
	t.Helper()
	verdicts, seen := s.take()
	if len(verdicts) != 1 || verdicts[0] != nil {
		t.Errorf("verdicts %v, want one nil", verdicts)
	}
	if len(seen) != 1 || seen[0].Service != service || seen[0].Region != "us-east-1" {
		t.Errorf("seen %+v, want one for %s", seen, service)
	}
}
