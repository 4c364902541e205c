package sigv4

import (
	"errors"

	"ssmrun"
)

// What can be wrong with a signature. Every error of this package is a
// *ssmrun.Error with the code of AWS's JSON services, and wraps one of these;
// CodeFor gives the other protocols' codes.
var (
	// ErrMissing: the request is not signed at all.
	ErrMissing = errors.New("request is not signed")
	// ErrIncomplete: there is a signature, but parts of it are missing or not
	// well formed.
	ErrIncomplete = errors.New("signature is not well formed")
	// ErrMismatch: the signature is not of this request, or not of this key.
	ErrMismatch = errors.New("signature does not match")
	// ErrClock: signed too long ago, or in the future.
	ErrClock = errors.New("signature is not of this time")
	// ErrScope: signed for another service, region or day.
	ErrScope = errors.New("signature is scoped elsewhere")
	// ErrToken: the session token is not the key's.
	ErrToken = errors.New("session token is not valid")
)

// UnknownKey is the error for an access key id that nobody has. Whoever looks
// keys up makes it; it is the same as for a wrong session token, so that a
// caller cannot tell which of the two was wrong.
func UnknownKey() error {
	return &ssmrun.Error{
		Code:    ssmrun.CodeUnrecognizedClient,
		Message: "The security token included in the request is invalid.",
		Err:     ErrToken,
	}
}

func missing() error {
	return &ssmrun.Error{Code: ssmrun.CodeMissingAuth, Message: "Missing Authentication Token", Err: ErrMissing}
}

func incomplete(message string) error {
	return &ssmrun.Error{Code: ssmrun.CodeIncompleteSignature, Message: message, Err: ErrIncomplete}
}

func invalid(cause error, message string) error {
	return &ssmrun.Error{Code: ssmrun.CodeInvalidSignature, Message: message, Err: cause}
}

func mismatch() error {
	return invalid(ErrMismatch, "The request signature we calculated does not match the signature you provided. "+
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// codes of the protocols that do not use the JSON services' codes.
var codes = map[string]map[error]ssmrun.Code{
	"sts": {
		ErrMissing:    "MissingAuthenticationToken",
		ErrIncomplete: "IncompleteSignature",
		ErrMismatch:   "SignatureDoesNotMatch",
		ErrClock:      "SignatureDoesNotMatch",
		ErrScope:      "SignatureDoesNotMatch",
		ErrToken:      "InvalidClientTokenId",
	},
	"ec2": {
		ErrMissing:    "MissingAuthenticationToken",
		ErrIncomplete: "IncompleteSignature",
		ErrMismatch:   "AuthFailure",
		ErrClock:      "RequestExpired",
		ErrScope:      "AuthFailure",
		ErrToken:      "AuthFailure",
	},
	"s3": {
		ErrMissing:    "AccessDenied",
		ErrIncomplete: "AuthorizationHeaderMalformed",
		ErrMismatch:   "SignatureDoesNotMatch",
		ErrClock:      "RequestTimeTooSkewed",
		ErrScope:      "AuthorizationHeaderMalformed",
		ErrToken:      "InvalidAccessKeyId",
	},
}

// CodeFor is the code by which a service's own protocol names an error of this
// package: sts, ec2 and s3 have their own, all others the JSON services'. Errors
// of other packages keep their code.
func CodeFor(service string, err error) ssmrun.Code {
	for cause, code := range codes[service] {
		if errors.Is(err, cause) {
			return code
		}
	}
	return ssmrun.ErrorCode(err)
}
