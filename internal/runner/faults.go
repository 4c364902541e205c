package runner

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ssmrun"
)

// fault is what is known of a call that failed.
type fault struct {
	class     Kind   // KindUnreachable, KindCredentials, KindDenied, KindNotSent
	status    int    // HTTP status; 0 where no answer came
	code      string // the service's; "" where it gave none
	message   string // the service's, or how the call failed
	throttled bool
	// passing: the same call may well work later.
	passing bool
	// unaccepted: our own service says that it did not accept the call, with a
	// status from which that could not be told.
	unaccepted bool
}

// faultOf reads an error of the SDK.
func faultOf(err error) fault {
	f := fault{class: KindNotSent}
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil && re.Response.Response != nil {
		f.status = re.HTTPStatusCode()
		f.unaccepted = re.Response.Header.Get(headerAccepted) == "no"
	}
	if ae, ok := errors.AsType[smithy.APIError](err); ok {
		f.code, f.message = ae.ErrorCode(), strings.TrimSuffix(strings.TrimSpace(ae.ErrorMessage()), ".")
	}
	_, f.throttled = retry.DefaultThrottleErrorCodes[f.code]
	f.passing = f.throttled || f.status >= 500 || f.status == 408
	switch f.code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized":
		f.class = KindDenied
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure",
		"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidSignatureException",
		"SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "RequestTimeTooSkewed",
		"InvalidToken":
		f.class = KindCredentials
	}
	if f.status >= 200 && f.status < 300 {
		// It was answered, and the answer broke off or makes no sense.
		f.class, f.passing = KindUnreachable, true
		f.message = "the answer could not be read: " + innermost(err).Error()
		return f
	}
	if f.status != 0 || f.code != "" {
		return f
	}
	if f.message = credentialsMessage(err); f.message != "" {
		f.class = KindCredentials
		return f
	}
	if cause := networkCause(err); cause != "" {
		f.class, f.message, f.passing = KindUnreachable, cause, true
		return f
	}
	f.message = innermost(err).Error()
	return f
}

// String is the fault in words: code and message, or how the call failed.
func (f fault) String() string {
	switch {
	case f.code != "" && f.message != "" && f.code != f.message:
		return f.code + ": " + f.message
	case f.code != "":
		return f.code
	case f.message != "":
		return f.message
	}
	return fmt.Sprintf("HTTP status %d", f.status)
}

// credentialsMessage tells that the SDK could not sign: "" where it could. The
// SDK has no type for it; the prefixes are those of its own finalizer.
func credentialsMessage(err error) string {
	s := err.Error()
	for _, mark := range []string{"get identity: ", "sign request: ", "retrieve credentials: ", "failed to refresh cached credentials"} {
		if i := strings.Index(s, mark); i >= 0 {
			return "there are no usable credentials (" + strings.TrimPrefix(s[i:], "get identity: get credentials: ") + ")"
		}
	}
	return ""
}

// networkCause says in a few words why no answer came: "" where that is not
// what happened.
func networkCause(err error) string {
	var (
		dns     *net.DNSError
		record  tls.RecordHeaderError
		errno   syscall.Errno
		ue      *url.Error
		timeout interface{ Timeout() bool }
		send    *smithyhttp.RequestSendError
	)
	where := ""
	if errors.As(err, &ue) {
		if u, perr := url.Parse(ue.URL); perr == nil {
			where = u.Scheme + "://" + u.Host + ": "
		}
	}
	switch {
	case errors.As(err, &dns):
		return where + "no such host " + dns.Name
	case badCertificate(err):
		return where + innermost(err).Error()
	case errors.As(err, &record):
		return where + "the other side does not speak TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return where + "no answer in time"
	case errors.As(err, &errno):
		return where + errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return where + "the connection was closed before an answer came"
	case errors.As(err, &send):
		return where + innermost(err).Error()
	}
	return ""
}

// badCertificate tells that TLS failed over the other side's certificate, which
// no repeat mends.
func badCertificate(err error) bool {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		cert    *tls.CertificateVerificationError
	)
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &cert)
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || inner.Error() == "" {
			return err
		}
		err = inner
	}
}

// unservedRegion is how AWS words its refusal of a signature for another region.
const unservedRegion = "scoped to a valid region"

// callError puts the failure of a call into words.
func (r *Runner) callError(operation string, err error) error {
	if missingRegion(err) {
		return &ValidationError{Problems: []Problem{{FieldRegion, "", "no region is set", "Set it in the configuration, with AWS_REGION, or in the profile"}}}
	}
	f := faultOf(err)
	if strings.Contains(f.message, unservedRegion) {
		return &ValidationError{Problems: []Problem{{FieldRegion, r.cfg.Region, fmt.Sprintf("the service does not serve region %q", r.cfg.Region), "Name a region that it serves, or another endpoint"}}}
	}
	e := &CallError{Operation: operation, Class: f.class, Err: err}
	e.Summary, e.Advice = r.words(operation, f)
	if badCertificate(err) {
		e.Advice = certificateAdvice(err)
	}
	return e
}

// words says what failed and what to do about it.
func (r *Runner) words(operation string, f fault) (summary, advice string) {
	switch f.class {
	case KindUnreachable:
		return operation + ": no answer from Systems Manager: " + f.message, r.unreachableAdvice()
	case KindCredentials:
		advice = "Set credentials in the configuration, in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or name a profile"
		if f.code != "" {
			advice = "Check the access key, the secret key and the session token, and that they have not expired and are for this endpoint"
		}
		return operation + ": " + f.String(), advice
	case KindDenied:
		return operation + ": " + f.String(), "Let the caller do ssm:" + operation
	}
	if f.throttled {
		return operation + ": " + f.String(), "Too many calls are made in this account; try again later"
	}
	return operation + ": " + f.String(), ""
}

func (r *Runner) unreachableAdvice() string {
	if r.cfg.Endpoint != "" {
		return "Check that the service runs and that " + r.cfg.Endpoint + " is its address"
	}
	return "Check the network and the region"
}

// certificateAdvice: whom to trust is said by the same settings for AWS and for a
// service of one's own.
func certificateAdvice(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "Use a name that its certificate holds as endpoint; ssmrun serve --tls-name puts further ones into it"
	}
	return "Name the certificate of its CA with AWS_CA_BUNDLE, or with ca_bundle in the profile; that of an ssmrun service is ca.pem in its data folder"
}

func missingRegion(err error) bool {
	var mr *aws.MissingRegionError
	return errors.As(err, &mr) || strings.Contains(err.Error(), "Missing Region") || strings.Contains(err.Error(), "an AWS region is required")
}

// hasCode tells whether the service answered with one of these codes.
func hasCode(err error, codes ...ssmrun.Code) bool {
	var ae smithy.APIError
	if !errors.As(err, &ae) {
		return false
	}
	for _, c := range codes {
		if ae.ErrorCode() == string(c) {
			return true
		}
	}
	return false
}
