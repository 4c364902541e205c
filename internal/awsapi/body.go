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

// maxBodyDepth bounds how deep a body may be nested; the deepest input of the
// model has five levels.
const maxBodyDepth = 32

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
	v, err := readValue(d, 0)
	if err != nil {
		var coded *ssmrun.Error
		if errors.As(err, &coded) {
			return nil, err
		}
		return nil, &ssmrun.Error{Code: ssmrun.CodeSerialization, Message: "The body is not well-formed JSON.", Err: err}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "The body has more after its JSON object.")
	}
	return v, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxBodyDepth {
		return nil, ssmrun.Errorf(ssmrun.CodeSerialization, "The body is nested more than %d levels deep.", maxBodyDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	switch {
	case !ok:
		return t, nil
	case delim == '[':
		out := []any{}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		_, err = d.Token()
		return out, err
	case delim == '{':
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
			if out[key], err = readValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return out, err
	default:
		return nil, fmt.Errorf("%c where a value was expected", delim)
	}
}
