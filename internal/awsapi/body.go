package awsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"ssmrun"
)

// Bounds of a body beside its size, which is ssmrun.MaxBodyBytes: a mebibyte of
// "{}," would become a hundred of memory.
const (
	// maxBodyDepth bounds how deep a body may be nested; the deepest input of the
	// model has five levels.
	maxBodyDepth = 32
	// maxBodyValues bounds the values of a body. A SendCommand's parameters end
	// at 100,000 bytes, so no input that is accepted comes near it.
	maxBodyValues = 100_000
	// maxBodyContainers bounds the objects and lists among them. The longest list
	// of objects in the model has a thousand.
	maxBodyContainers = 10_000
)

// readBody reads a body as JSON into a tree of map[string]any, []any, string,
// json.Number, bool and nil. It refuses what leaves open what is meant: text
// that is not UTF-8, a key that comes twice, and more than one value.
func readBody(body []byte) (any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return map[string]any{}, nil
	}
	if !utf8.Valid(body) {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "The body is not UTF-8.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	r := bodyReader{Decoder: d}
	v, err := r.value(0)
	if err != nil {
		if _, coded := errors.AsType[*ssmrun.Error](err); coded {
			return nil, err
		}
		return nil, &ssmrun.Error{Code: ssmrun.CodeSerialization, Message: "The body is not well-formed JSON.", Err: err}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "The body has more after its JSON object.")
	}
	return v, nil
}

// bodyReader reads a body and counts what is in it.
type bodyReader struct {
	*json.Decoder
	values, containers int
}

func (d *bodyReader) value(depth int) (any, error) {
	if depth > maxBodyDepth {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "The body is nested more than %d levels deep.", maxBodyDepth)
	}
	if d.values++; d.values > maxBodyValues {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "The body has more than %d values.", maxBodyValues)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if d.containers++; d.containers > maxBodyContainers {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "The body has more than %d lists and objects.", maxBodyContainers)
	}
	switch delim {
	case '[':
		return d.list(depth)
	case '{':
		return d.object(depth)
	default:
		return nil, fmt.Errorf("%c where a value was expected", delim)
	}
}

func (d *bodyReader) list(depth int) (any, error) {
	out := []any{}
	for d.More() {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return out, err
}

func (d *bodyReader) object(depth int) (any, error) {
	out := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string) // the decoder allows nothing else
		if _, twice := out[key]; twice {
			return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "The body has a key that comes twice in one object.")
		}
		if out[key], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return out, err
}
