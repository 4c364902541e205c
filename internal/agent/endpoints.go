package agent

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
)

// FixedEndpoint is a service that never moves; s3 is "" for AWS's own S3.
func FixedEndpoint(url, s3 string) func() (state.Endpoint, error) {
	return func() (state.Endpoint, error) { return state.Endpoint{URL: url, S3: s3}, nil }
}

// EndpointFile is a service that says in a file where it is.
func EndpointFile(path string) func() (state.Endpoint, error) {
	return func() (state.Endpoint, error) { return state.ReadEndpoint(path) }
}

// serviceS3 is S3's name as agentlink names the other services.
const serviceS3 = "s3"

// endpoints tells where each service is for an instance of a region: where its
// own setting says, else by the domain, else where Endpoint says for all.
func (c Config) endpoints(region string) agentlink.EndpointsSource {
	return func(service string) (string, error) {
		if u := c.ServiceEndpoints[service]; u != "" {
			return u, nil
		}
		if c.ServiceDomain != "" {
			if service == serviceS3 && isAWS(c.ServiceDomain) {
				return "", nil // AWS's own S3 has more names than one
			}
			return agentlink.RegionalEndpoints(region, c.ServiceDomain)(service)
		}
		e, err := c.Endpoint()
		if service == serviceS3 {
			return e.S3, err
		}
		return e.URL, err
	}
}

// endpoint is where one service is.
func (c Config) endpoint(service, region string) agentlink.EndpointSource {
	return func() (string, error) { return c.endpoints(region)(service) }
}

func isAWS(domain string) bool { return domain == "amazonaws.com" || domain == "amazonaws.com.cn" }

// endpointFlags are the flags that say where the services are and whom to trust.
type endpointFlags struct {
	endpoint, file, domain, ca string
	each                       map[string]*string // by service
}

// addEndpointFlags defines them.
func addEndpointFlags(f *flag.FlagSet) *endpointFlags {
	e := &endpointFlags{each: map[string]*string{}}
	f.StringVar(&e.endpoint, "endpoint", "", "`URL` of the service: http://HOST:PORT or https://HOST:PORT")
	f.StringVar(&e.file, "endpoint-file", "", "`file` in which the service says where it is, instead of --endpoint")
	f.StringVar(&e.domain, "service-domain", "", "`domain` under which the services are, instead of --endpoint: https://{ssm,ssmmessages,ec2messages,s3}.REGION.DOMAIN; amazonaws.com for AWS")
	f.StringVar(&e.ca, "ca-file", "", "PEM `file` with certificates of authorities to trust beside the system's, for all calls, the control channel and S3")
	for service, what := range map[string]string{
		agentlink.ServiceSSM:      "registration, keys and heartbeats",
		agentlink.ServiceMessages: "the control channel (a websocket)",
		agentlink.ServiceLongPoll: "the long polls while the control channel cannot be opened",
	} {
		e.each[service] = f.String(service+"-endpoint", "", "`URL` of the service for "+what+", where it has one of its own")
	}
	e.each[serviceS3] = f.String("s3-endpoint", "", "`URL` of the S3 that outputs are uploaded to, where it is not the service's")
	return e
}

// domainName is what a service domain looks like, a port allowed.
var domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)

// apply puts what the flags say into a configuration.
func (e *endpointFlags) apply(c *Config) error {
	given := 0
	for _, s := range []string{e.endpoint, e.file, e.domain} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("give one of --endpoint, --endpoint-file and --service-domain: where is the service?")
	case e.domain != "" && !domainName.MatchString(e.domain):
		return fmt.Errorf("--service-domain %q: want a domain such as amazonaws.com", e.domain)
	}
	c.ServiceDomain, c.ServiceEndpoints = strings.ToLower(e.domain), map[string]string{}
	for service, u := range e.each {
		if err := checkURL("--"+service+"-endpoint", *u); err != nil {
			return err
		}
		c.ServiceEndpoints[service] = *u
	}
	if err := checkURL("--endpoint", e.endpoint); err != nil {
		return err
	}
	switch {
	case e.endpoint != "":
		c.Endpoint = FixedEndpoint(e.endpoint, s3Beside(e.endpoint))
	case e.file != "":
		abs, err := filepath.Abs(e.file)
		if err != nil {
			return fmt.Errorf("--endpoint-file: %w", err)
		}
		c.Endpoint = EndpointFile(abs)
	}
	var err error
	if c.HTTP, err = e.client(); err != nil {
		return fmt.Errorf("--ca-file: %w", err)
	}
	return nil
}

// s3Beside is where a service's S3 is that nothing more is told of: the service's
// keys are of use at its own address, and AWS's at AWS.
func s3Beside(endpoint string) string {
	u, err := agentlink.ParseEndpoint(endpoint)
	if err != nil || strings.HasSuffix(u.Hostname(), ".amazonaws.com") || strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn") {
		return ""
	}
	return endpoint
}

func checkURL(name, u string) error {
	if u == "" {
		return nil
	}
	if _, err := agentlink.ParseEndpoint(u); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// client is nil where no authority is named.
func (e *endpointFlags) client() (*http.Client, error) {
	if e.ca == "" {
		return nil, nil
	}
	return agentlink.HTTPClientTrusting(e.ca)
}
