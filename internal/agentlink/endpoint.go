package agentlink

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ssmrun/internal/wire"
)

// EndpointSource tells where the service is, as a URL with a scheme (http or
// https; the websocket follows it as ws or wss). It is asked before every
// session, so that a service that starts again elsewhere is found.
type EndpointSource func() (string, error)

// FixedEndpoint is a service that never moves.
func FixedEndpoint(endpoint string) EndpointSource {
	return func() (string, error) { return endpoint, nil }
}

// The services of an agent's calls, by the names that signatures and AWS's host
// names have for them. Ours answers all three at one place.
const (
	ServiceSSM      = "ssm"                // registration, keys, heartbeats, parameters
	ServiceMessages = wire.ChannelMessages // the control channel
	ServiceLongPoll = wire.ChannelLongPoll // the fallback
)

// EndpointsSource tells where each of the services is, as an EndpointSource does
// for all of them.
type EndpointsSource func(service string) (string, error)

// everywhere makes an EndpointsSource of one place.
func (e EndpointSource) everywhere() EndpointsSource {
	return func(string) (string, error) { return e() }
}

// RegionalEndpoints are the services under a domain as AWS names them:
// https://SERVICE.REGION.DOMAIN.
func RegionalEndpoints(region, domain string) EndpointsSource {
	return func(service string) (string, error) {
		return "https://" + service + "." + region + "." + domain, nil
	}
}

// ParseEndpoint checks a service's address and gives it without a path.
func ParseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	if err != nil {
		return nil, fmt.Errorf("endpoint %q is not a URL", endpoint)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, fmt.Errorf("endpoint %q: want http://HOST:PORT or https://HOST:PORT", endpoint)
	}
	if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %q: want http://HOST:PORT or https://HOST:PORT and nothing else", endpoint)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// NewHTTPClient is the client that a Link uses where it is given none: HTTP/1.1
// only, since a websocket cannot begin on HTTP/2, no redirects, since a
// signature holds for one address, and one idle connection for a short time. It
// goes through the proxy that the environment names (HTTPS_PROXY for https and
// wss, HTTP_PROXY for http, NO_PROXY for what is reached without).
func NewHTTPClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2 = false
	t.MaxIdleConnsPerHost = 1
	t.IdleConnTimeout = 20 * time.Second
	t.ResponseHeaderTimeout = 30 * time.Second
	t.WriteBufferSize, t.ReadBufferSize = 4<<10, 4<<10
	t.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, r *http.Request, answer *http.Response) error {
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("the proxy %s opens no tunnel to %s: it answered %s", proxy.Host, r.Host, answer.Status)
		}
		return nil
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
