package agentlink

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ssmrun/internal/wire"
)

// TestRemedies: an instance that is denied is told what helps, and nothing else.
func TestRemedies(t *testing.T) {
	t.Parallel()
	const anew, role = "remove registration.json", "its role does not let it work"
	for name, c := range map[string]struct {
		err   APIError
		want  string
		wrong string
	}{
		"deregistered":  {APIError{Operation: wire.OpRequestManagedInstanceRoleToken, Code: "AccessDeniedException"}, anew, role},
		"another key":   {APIError{Operation: wire.OpRequestManagedInstanceRoleToken, Code: "InvalidSignatureException", Message: "The request signature we calculated does not match"}, anew, "--region"},
		"other region":  {APIError{Operation: wire.OpRequestManagedInstanceRoleToken, Code: "InvalidSignatureException", Message: "Credential should be scoped to a valid region, not 'x'."}, "--region", role},
		"copied folder": {APIError{Operation: wire.OpRequestManagedInstanceRoleToken, Code: "MachineFingerprintDoesNotMatch"}, anew, role},
		"role":          {APIError{Operation: wire.OpUpdateInstanceInformation, Code: "AccessDeniedException"}, role, anew},
	} {
		if !Denied(&c.err) {
			t.Errorf("%s is not denied", name)
		}
		if got := remedy(&c.err); !strings.Contains(got, c.want) || strings.Contains(got, c.wrong) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestPlainCallToTLSThatCuts: the words are lost where the service cuts the
// connection behind them.
func TestPlainCallToTLSThatCuts(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.0 400 Bad Request\r\nContent-Length: 9\r\n\r\n")
			_ = conn.Close()
		}
	}))
	t.Cleanup(srv.Close)
	c := newCaller(FixedEndpoint(srv.URL).everywhere(), nil, nil)
	if err := c.call(t.Context(), "Op", struct{}{}, nil, unsignedOf("")); err == nil || !strings.Contains(err.Error(), "begins with https://") {
		t.Errorf("got %v", err)
	}
}

// TestProxyThatOpensNoTunnel: it is told that it was the proxy.
func TestProxyThatOpensNoTunnel(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := NewHTTPClient()
	client.Transport.(*http.Transport).Proxy = http.ProxyURL(at)
	c := newCaller(FixedEndpoint("https://service.test").everywhere(), client, nil)
	want := "the proxy " + at.Host + " opens no tunnel to service.test:443: it answered 403 Forbidden"
	if err := c.call(context.Background(), "Op", struct{}{}, nil, unsignedOf("")); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}
