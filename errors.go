package ssmrun

import (
	"errors"
	"fmt"
)

// Code is the name of an error as AWS spells it on the wire.
type Code string

// Codes that more than one package deals with. An operation may answer others.
const (
	CodeInternal               Code = "InternalServerError"
	CodeValidation             Code = "ValidationException"
	CodeUnknownOperation       Code = "UnknownOperationException"
	CodeSerialization          Code = "SerializationException"
	CodeThrottling             Code = "ThrottlingException"
	CodeUnavailable            Code = "ServiceUnavailable"
	CodeAccessDenied           Code = "AccessDeniedException"
	CodeMissingAuth            Code = "MissingAuthenticationTokenException"
	CodeIncompleteSignature    Code = "IncompleteSignatureException"
	CodeInvalidSignature       Code = "InvalidSignatureException"
	CodeUnrecognizedClient     Code = "UnrecognizedClientException"
	CodeExpiredToken           Code = "ExpiredTokenException"
	CodeInvalidInstanceID      Code = "InvalidInstanceId"
	CodeDuplicateInstanceID    Code = "DuplicateInstanceId"
	CodeInvalidDocument        Code = "InvalidDocument"
	CodeInvalidDocumentVersion Code = "InvalidDocumentVersion"
	CodeInvalidDocumentContent Code = "InvalidDocumentContent"
	CodeInvalidParameters      Code = "InvalidParameters"
	CodeUnsupportedPlatform    Code = "UnsupportedPlatformType"
	CodeMaxDocumentSize        Code = "MaxDocumentSizeExceeded"
	CodeInvalidOutputFolder    Code = "InvalidOutputFolder"
	CodeInvalidCommandID       Code = "InvalidCommandId"
	CodeInvalidPluginName      Code = "InvalidPluginName"
	CodeInvocationDoesNotExist Code = "InvocationDoesNotExist"
	CodeInvalidNextToken       Code = "InvalidNextToken"
	CodeInvalidFilterKey       Code = "InvalidFilterKey"
	CodeInvalidActivation      Code = "InvalidActivation"
)

// Error is an error that a caller may see: a code and a public message. What
// caused it inside is wrapped and never shown by Message.
type Error struct {
	Code    Code
	Message string
	Err     error // inner cause; for logs, never for the wire
}

// Error spells the code, the message and the inner cause.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the inner cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes a coded error with a public message. To keep an inner cause for
// the log, make an Error with Err.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// ErrorCode gives the code of err or of what it wraps: CodeInternal for an
// error without one, "" for nil.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// ErrorMessage gives what may be shown of err: the message of a coded error,
// "" for nil, and for anything else a sentence that gives nothing away.
func ErrorMessage(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return "An internal error occurred."
}

// ErrNotFound is what stores and look-ups answer for a thing that is not there.
var ErrNotFound = errors.New("not found")
