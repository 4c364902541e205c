package awsapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/identity"
)

// ContentType11 is that of AWS JSON 1.1.
const ContentType11 = "application/x-amz-json-1.1"

// HeaderAccepted is "no" where a call was certainly not accepted although its
// status, 503, would leave that open.
const HeaderAccepted = "X-Ssmrun-Accepted"

// WriteJSON answers a JSON 1.1 call.
func WriteJSON(w http.ResponseWriter, out any) {
	b, err := json.Marshal(out)
	if err != nil {
		WriteJSONError(w, fmt.Errorf("encode the answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", ContentType11)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
}

// WriteJSONError answers a JSON 1.1 call with an error.
func WriteJSONError(w http.ResponseWriter, err error) {
	row := rowOf(err)
	body := map[string]string{"__type": string(row.code)}
	if m := row.message(err); m != "" { // an empty text is left out, as observed
		// Modelled errors of SSM spell the member Message, others message.
		key := "message"
		if row.upper {
			key = "Message"
		}
		body[key] = m
	}
	b, _ := json.Marshal(body) // a map of strings cannot fail
	w.Header().Set("Content-Type", ContentType11)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if row.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
		w.Header().Set(HeaderAccepted, "no")
	}
	w.WriteHeader(row.status)
	_, _ = w.Write(b)
}

// decode reads a body that has been checked against its shape.
func decode(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &ssmrun.Error{Code: ssmrun.CodeSerialization, Message: "The body does not fit the operation's input.", Err: err}
	}
	return nil
}

// epoch is a time as JSON 1.1 spells it: seconds since 1970 with milliseconds.
type epoch time.Time

// MarshalJSON spells the time.
func (e epoch) MarshalJSON() ([]byte, error) {
	ms := time.Time(e).UnixMilli()
	return fmt.Appendf(nil, "%d.%03d", ms/1000, ms%1000), nil
}

// epochPtr leaves a zero time out.
func epochPtr(t time.Time) *epoch {
	if t.IsZero() {
		return nil
	}
	e := epoch(t)
	return &e
}

// errorRow says how an error goes over the wire.
type errorRow struct {
	code   ssmrun.Code
	status int
	fault  string // Sender or Receiver, for Query
	// upper: the model has a Message member for it.
	upper bool
}

// errorRows are those that differ from the common case: 400, Sender, "message".
var errorRows = map[ssmrun.Code]errorRow{
	ssmrun.CodeInternal:               {status: 500, fault: "Receiver"},
	ssmrun.CodeUnavailable:            {status: 503, fault: "Receiver"},
	ssmrun.CodeInvalidDocument:        {upper: true},
	ssmrun.CodeInvalidDocumentContent: {upper: true},
	ssmrun.CodeInvalidDocumentVersion: {upper: true},
	ssmrun.CodeInvalidParameters:      {upper: true},
	ssmrun.CodeInvalidInstanceID:      {upper: true},
	ssmrun.CodeAccessDenied:           {upper: true},
	ssmrun.CodeMaxDocumentSize:        {upper: true},
	document.CodeInvalidSchemaVersion: {upper: true},
	CodeDocumentAlreadyExists:         {upper: true},
	CodeDocumentLimitExceeded:         {upper: true},
	CodeDocumentVersionLimitExceeded:  {upper: true},
	CodeDocumentPermissionLimit:       {upper: true},
	CodeDuplicateDocumentContent:      {upper: true},
	CodeDuplicateDocumentVersionName:  {upper: true},
	CodeInvalidDocumentOperation:      {upper: true},
	"DryRunOperation":                 {status: 412},
	CodeEntityTooLarge:                {status: 413},
	identity.CodeNoSuchEntity:         {status: 404},
	identity.CodeEntityExists:         {status: 409},
	identity.CodeDeleteConflict:       {status: 409},
	identity.CodeLimitExceeded:        {status: 409},
}

// CodeEntityTooLarge refuses a body over ssmrun.MaxBodyBytes.
const CodeEntityTooLarge ssmrun.Code = "RequestEntityTooLargeException"

func rowOf(err error) errorRow {
	code := ssmrun.ErrorCode(err)
	row := errorRows[code]
	row.code = code
	if row.status == 0 {
		row.status = http.StatusBadRequest
	}
	if row.fault == "" {
		row.fault = "Sender"
	}
	return row
}

func (r errorRow) message(err error) string { return ssmrun.ErrorMessage(err) }

// Internal tells whether err is a fault of the service, to be logged, rather
// than an answer to the caller: also one for which it is not available, as a full
// disk, which is told by its cause.
func Internal(err error) bool {
	var e *ssmrun.Error
	return err != nil && (!errors.As(err, &e) || e.Code == ssmrun.CodeInternal || e.Code == ssmrun.CodeUnavailable && e.Err != nil)
}
