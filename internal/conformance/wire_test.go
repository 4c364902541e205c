package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// answer is what came over the wire, before any decoder of an SDK could hide
// something.
type answer struct {
	status int
	body   any    // decoded JSON, numbers as they were written
	raw    string // for problems
}

// code is an error's code, without the namespace that AWS may put before it.
func (a *answer) code() string {
	code := textAt(a.body, "__type")
	if _, short, ok := strings.Cut(code, "#"); ok {
		return short
	}
	return code
}

// message is an error's text under either name.
func (a *answer) message() string { return textAt(a.body, "Message") + textAt(a.body, "message") }

// problem says what a call of the set-up was answered instead of an output.
func (a *answer) problem() string {
	if a.status == http.StatusOK {
		return ""
	}
	return strings.TrimRight(fmt.Sprintf("%s: %s", a.code(), a.message()), ": ")
}

// call makes one signed request of JSON 1.1.
func call(ctx context.Context, s *testenv.Service, operation string, input any) (*answer, error) {
	body, err := json.Marshal(input)
	if err != nil {
		return nil, fmt.Errorf("encode the input: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM."+operation)
	keys := sigv4.Keys{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretKey}
	sigv4.Sign(r, body, keys, "ssm", s.Region, time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	a := &answer{status: resp.StatusCode, raw: string(raw)}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&a.body); err != nil {
		return nil, fmt.Errorf("the answer to %s is no JSON: %w: %q", operation, err, raw)
	}
	return a, nil
}
