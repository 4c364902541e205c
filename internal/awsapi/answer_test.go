package awsapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// CheckAnswer holds an answer of an operation against the model: every member
// is one that the model declares, of its type and among its values, nothing is
// null, and what the model requires is there. Lengths and patterns are not
// looked at: AWS's own answers have "" where the pattern wants three letters.
func CheckAnswer(t testing.TB, operation string, answer []byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Errorf("%s answers %.200q: %v", operation, answer, err)
		return
	}
	op, ok := theModel().Operations[operation]
	if !ok {
		t.Errorf("%s is not in the model", operation)
		return
	}
	w := answerWalk{model: theModel()}
	w.structure(op.Output, v, operation)
	for _, found := range w.found {
		t.Errorf("the answer of %s", found)
	}
}

type answerWalk struct {
	model *model
	found []string
}

func (w *answerWalk) says(format string, args ...any) {
	w.found = append(w.found, fmt.Sprintf(format, args...))
}

func (w *answerWalk) structure(members []modelMember, v any, path string) {
	m, ok := v.(map[string]any)
	if !ok {
		w.says("%s is %T, not an object", path, v)
		return
	}
	for _, f := range members {
		x, there := m[f.Name]
		switch {
		case there:
			w.value(f.Shape, x, path+"."+f.Name)
		case f.Required:
			w.says("%s lacks %s", path, f.Name)
		}
		delete(m, f.Name)
	}
	for name := range m {
		w.says("%s has %s, which the model does not know", path, name)
	}
}

func (w *answerWalk) value(shape string, v any, path string) {
	s, ok := w.model.Shapes[shape]
	if !ok {
		w.says("%s: shape %s is not in the model", path, shape)
		return
	}
	fits := false
	switch s.Type {
	case "structure":
		w.structure(s.Members, v, path)
		return
	case "list":
		var l []any
		l, fits = v.([]any)
		for i, x := range l {
			w.value(s.Of, x, fmt.Sprintf("%s[%d]", path, i))
		}
	case "map":
		var m map[string]any
		m, fits = v.(map[string]any)
		for k, x := range m {
			w.value(s.Of, x, path+"."+k)
		}
	case "string":
		var text string
		text, fits = v.(string)
		if fits && len(s.Enum) > 0 && text != "" && !slices.Contains(s.Enum, text) {
			w.says("%s is %q, which is none of %q", path, text, s.Enum)
		}
	case "integer":
		var n json.Number
		if n, fits = v.(json.Number); fits {
			_, err := n.Int64()
			fits = err == nil
		}
	case "timestamp":
		_, fits = v.(json.Number)
	case "boolean":
		_, fits = v.(bool)
	}
	if !fits {
		w.says("%s is %v, not a %s", path, v, s.Type)
	}
}
