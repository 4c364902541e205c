package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrPayload is in the chain of every error of Unmarshal: the far end sent
// something that is no JSON, or that lacks what the protocol promises. The
// message names the field, never a value: payloads carry parameters.
var ErrPayload = errors.New("malformed payload")

// checker is a payload that knows what it may not lack.
type checker interface{ check() error }

// Marshal encodes a payload. Unlike json.Marshal it leaves <, > and & as they
// are: escaped they take six bytes, and a reply has only MaxReplyBytes.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Unmarshal decodes one JSON value into v, a pointer to a payload of this
// package, and checks that the fields the protocol promises are there. Unknown
// fields are ignored, since genuine peers add some; anything after the value is
// an error. Numbers inside parameters stay as they were written (json.Number).
// Every error is an ErrPayload.
func Unmarshal(data []byte, v any) error {
	if len(data) > MaxPayloadBytes {
		return fmt.Errorf("%w: %d bytes, more than %d", ErrPayload, len(data), MaxPayloadBytes)
	}
	if err := decode(data, v); err != nil {
		return err
	}
	if c, ok := v.(checker); ok {
		if err := c.check(); err != nil {
			return fmt.Errorf("%w: %w", ErrPayload, err)
		}
	}
	return nil
}

// decode reads one JSON value. A Decoder, which is slower by its buffer, is
// needed for what holds numbers of any form, and to tell what is wrong.
func decode(data []byte, v any) error {
	if _, anything := v.(*SendCommandPayload); !anything && json.Unmarshal(data, v) == nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %s", ErrPayload, describe(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON value", ErrPayload)
	}
	return nil
}

// describe keeps values out of a decoding error.
func describe(err error) string {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ) && typ.Field != "":
		return fmt.Sprintf("field %s has the wrong type", typ.Field)
	case errors.As(err, &typ):
		return "not a JSON object"
	case errors.As(err, &syntax):
		return fmt.Sprintf("no JSON at byte %d", syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON value ends early"
	case errors.Is(err, errEpoch):
		return errEpoch.Error()
	}
	return "no JSON of the expected form"
}

// missing names the first field of name, value pairs whose value is empty.
func missing(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return fmt.Errorf("field %s is missing", pairs[i])
		}
	}
	return nil
}

// timeLayout is ISO 8601 in UTC with milliseconds, as both sides write times.
const timeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime writes a time as payloads carry it; the zero time is "".
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// ParseTime reads what FormatTime wrote, and any RFC 3339 time; "" is the zero
// time.
func ParseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: no time of the form %s", ErrPayload, timeLayout)
	}
	return t.UTC(), nil
}
