package sigv4

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Algorithm is the only one there is; hybrid signatures bear its name too.
const Algorithm = "AWS4-HMAC-SHA256"

const (
	terminator = "aws4_request"
	timeLayout = "20060102T150405Z"
	dateLayout = "20060102"

	headerDate    = "X-Amz-Date"
	headerToken   = "X-Amz-Security-Token"
	headerPayload = "X-Amz-Content-Sha256"

	queryAlgorithm     = "X-Amz-Algorithm"
	queryCredential    = "X-Amz-Credential"
	querySignedHeaders = "X-Amz-SignedHeaders"
	querySignature     = "X-Amz-Signature"
	queryExpires       = "X-Amz-Expires"
	queryDate          = headerDate
	queryToken         = headerToken
	queryPayload       = headerPayload
)

// Lives of presigned requests.
const (
	// MaxExpires is the longest X-Amz-Expires.
	MaxExpires = 7 * 24 * time.Hour
	// DefaultExpires is what a presigned request without X-Amz-Expires lives.
	// S3 wants one.
	DefaultExpires = 15 * time.Minute
)

// Credential is the scope of a signature: who signed, and for what.
type Credential struct {
	// AccessKeyID is an access key id, or an instance id in a hybrid signature.
	AccessKeyID string
	// Date is the day of the signing key, YYYYMMDD in UTC.
	Date    string
	Region  string
	Service string
}

// scope is the credential without the key id, as it is signed.
func (c Credential) scope() string {
	return c.Date + "/" + c.Region + "/" + c.Service + "/" + terminator
}

// RequireScope returns AWS's error unless the signature is for the service and
// for a region that served knows.
func (c Credential) RequireScope(service string, served func(region string) bool) error {
	if c.Service != service {
		return invalid(ErrScope, fmt.Sprintf("Credential should be scoped to correct service: '%s'.", service))
	}
	if !served(c.Region) {
		return invalid(ErrScope, fmt.Sprintf("Credential should be scoped to a valid region, not '%s'.", c.Region))
	}
	return nil
}

// Signed is what a request says about its signature. Nothing of it is verified.
type Signed struct {
	Credential
	// Time is when it was signed, by the signer's clock, in whole seconds.
	Time time.Time
	// SignedHeaders are lower-case names, sorted, each once.
	SignedHeaders []string
	// Signature is hex, or base64 in a hybrid signature.
	Signature string
	// SessionToken is "" for lasting keys.
	SessionToken string
	// Presigned says that all this stood in the query.
	Presigned bool
	// Expires is how long a presigned request lives; 0 for others.
	Expires time.Duration
}

// Parse reads who signed a request, for what and how, from the Authorization
// header or from the query. It verifies nothing but the form, and that the scope
// is of the day of the signature: what it returns serves to find the key, and
// goes to Verify. Errors wrap ErrMissing, ErrIncomplete or ErrScope.
func Parse(r *http.Request) (*Signed, error) {
	query, err := parseQuery(r.URL)
	if err != nil {
		return nil, err
	}
	auth := r.Header["Authorization"]
	presigned := query.Has(queryAlgorithm) || query.Has(querySignature) || query.Has(queryCredential)
	var s *Signed
	switch {
	case len(auth) == 0 && !presigned:
		return nil, missing()
	case len(auth) > 1 || len(auth) == 1 && presigned:
		return nil, incomplete("Only one auth mechanism allowed: one Authorization header, or one set of X-Amz-* query parameters.")
	case presigned:
		s, err = parsePresigned(query)
	default:
		s, err = parseHeader(auth[0], r.Header)
	}
	if err != nil {
		return nil, err
	}
	if day := s.Time.Format(dateLayout); day != s.Date {
		return nil, invalid(ErrScope, fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			s.Date, day, s.Time.Format(timeLayout)))
	}
	return s, nil
}

// parseQuery refuses what a canonical query could not be made of, so that the
// query a handler reads is the one that was signed.
func parseQuery(u *url.URL) (url.Values, error) {
	if u.RawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, incomplete("The query string is not well formed.")
	}
	return query, nil
}

func parseHeader(auth string, header http.Header) (*Signed, error) {
	algorithm, rest, _ := strings.Cut(strings.TrimSpace(auth), " ")
	if algorithm != Algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm': the Authorization header must begin with '" + Algorithm + "'.")
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := fields[name]; !ok || twice {
			return nil, incomplete("Authorization header is not of the form '" + Algorithm + " Credential=..., SignedHeaders=..., Signature=...'.")
		}
		fields[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return nil, incomplete("Authorization header requires '" + name + "' parameter.")
		}
	}
	s := &Signed{Signature: fields["Signature"], SessionToken: header.Get(headerToken)}
	dates := header[headerDate]
	if len(dates) != 1 {
		return nil, incomplete("Authorization header requires existence of one 'X-Amz-Date' header.")
	}
	if err := s.fill(fields["Credential"], fields["SignedHeaders"], dates[0]); err != nil {
		return nil, err
	}
	return s, nil
}

func parsePresigned(query url.Values) (*Signed, error) {
	for _, name := range []string{queryAlgorithm, queryCredential, queryDate, querySignedHeaders, querySignature} {
		if query.Get(name) == "" {
			return nil, incomplete("AWS query-string parameters must include '" + name + "'.")
		}
	}
	for name, values := range query {
		if strings.HasPrefix(name, "X-Amz-") && len(values) > 1 {
			return nil, once(name)
		}
	}
	if query.Get(queryAlgorithm) != Algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm': X-Amz-Algorithm must be '" + Algorithm + "'.")
	}
	s := &Signed{
		Signature:    query.Get(querySignature),
		SessionToken: query.Get(queryToken),
		Presigned:    true,
		Expires:      DefaultExpires,
	}
	if err := s.fill(query.Get(queryCredential), query.Get(querySignedHeaders), query.Get(queryDate)); err != nil {
		return nil, err
	}
	if query.Has(queryExpires) || s.Service == serviceS3 {
		n, err := strconv.ParseUint(query.Get(queryExpires), 10, 32)
		s.Expires = time.Duration(n) * time.Second
		if err != nil || n < 1 || s.Expires > MaxExpires {
			return nil, incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800.")
		}
	}
	return s, nil
}

// fill parses what header and query have in common.
func (s *Signed) fill(credential, signedHeaders, date string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	s.Credential = Credential{AccessKeyID: parts[0], Date: parts[1], Region: parts[2], Service: parts[3]}
	if slices.Contains(parts, "") {
		return incomplete("Credential has an empty element: keyid/date/region/service/term.")
	}
	if parts[4] != terminator {
		return invalid(ErrScope, "Credential should be scoped with a valid terminator: '"+terminator+"'.")
	}
	s.SignedHeaders = strings.Split(signedHeaders, ";")
	for i, name := range s.SignedHeaders {
		if name == "" || name != strings.ToLower(name) || i > 0 && name <= s.SignedHeaders[i-1] {
			return incomplete("SignedHeaders must be lower-case names, sorted, each once, with ';' between them.")
		}
	}
	t, err := time.Parse(timeLayout, date)
	if err != nil || t.Format(timeLayout) != date {
		return incomplete("Date must be in ISO-8601 'basic format', e.g. 20260102T150405Z: X-Amz-Date is not.")
	}
	s.Time = t
	return nil
}

// signs says whether a header, by its lower-case name, is signed.
func (s *Signed) signs(name string) bool {
	_, ok := slices.BinarySearch(s.SignedHeaders, name)
	return ok
}

func once(name string) error {
	return incomplete("'" + name + "' must not be given more than once.")
}
