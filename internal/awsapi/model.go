package awsapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// modelJSON holds the facts of AWS's API model (version 2014-11-06) about the
// operations that are served: the members of their inputs and outputs, with
// what each may be, and the errors that they declare. Three things in it are not
// of the model but of AWS's answers: the pattern of a CommandId, the length of
// an InstanceId, and the bounds of an InstanceInformationFilterValue. "silent":
// the operation echoes no values in its ValidationExceptions.
//
//go:embed model.json
var modelJSON []byte

// model is modelJSON.
type model struct {
	Operations map[string]modelOperation
	Shapes     map[string]modelShape
}

type modelOperation struct {
	Silent        bool
	Errors        []string
	Input, Output []modelMember
}

type modelMember struct {
	Name     string
	Shape    string
	Required bool
}

type modelShape struct {
	Type      string
	Min, Max  *int
	Pattern   string
	Enum      []string
	Sensitive bool
	Members   []modelMember
	Of        string // shape of a list's elements, of a map's values
}

// theModel reads modelJSON, which is part of the program: a mistake in it is
// one of the program's.
var theModel = sync.OnceValue(func() *model {
	d := json.NewDecoder(bytes.NewReader(modelJSON))
	d.DisallowUnknownFields()
	var m model
	if err := d.Decode(&m); err != nil {
		panic(fmt.Sprintf("read model.json: %v", err))
	}
	return &m
})

// inputs gives the shape of every operation's input.
var inputs = sync.OnceValue(func() map[string]*shape {
	m := theModel()
	b := builder{model: m, loud: map[string]*shape{}, silent: map[string]*shape{}}
	out := make(map[string]*shape, len(m.Operations))
	for name, op := range m.Operations {
		s := &shape{kind: structure, name: name + "Request"}
		s.members = b.members(op.Input, op.Silent)
		out[name] = s
	}
	return out
})

// builder makes shapes of the model's, each once.
type builder struct {
	model        *model
	loud, silent map[string]*shape
}

var kinds = map[string]kind{
	"structure": structure, "list": list, "map": mapping, "string": text, "integer": integer,
	"boolean": boolean, "timestamp": timestamp,
}

func (b *builder) members(list []modelMember, silent bool) []member {
	out := make([]member, len(list))
	for i, m := range list {
		out[i] = member{name: m.Name, at: lowerFirst(m.Name), required: m.Required, shape: b.shape(m.Shape, silent)}
	}
	return out
}

func (b *builder) shape(name string, silent bool) *shape {
	done := b.loud
	if silent {
		done = b.silent
	}
	if s := done[name]; s != nil {
		return s
	}
	f, ok := b.model.Shapes[name]
	k, known := kinds[f.Type]
	if !ok || !known {
		panic(fmt.Sprintf("model.json: shape %s is missing or of an unknown type", name))
	}
	silent = silent || f.Sensitive
	s := &shape{kind: k, name: name, enum: f.Enum, quiet: silent, min: f.Min, max: f.Max}
	done[name] = s // a shape may hold itself
	if f.Pattern != "" {
		s.pattern = newShapePattern(f.Pattern)
	}
	if f.Of != "" {
		s.element = b.shape(f.Of, silent)
	}
	s.members = b.members(f.Members, silent)
	return s
}

// shapePattern is a pattern of the model. AWS matches the whole value, whatever
// anchors the pattern has.
type shapePattern struct {
	text     string // as AWS spells it
	matches  func(string) bool
	compiled func() *regexp.Regexp
}

func newShapePattern(text string) *shapePattern {
	p := &shapePattern{text: text}
	switch text {
	case `^(?!\s*$).+`: // Go's expressions know no look-ahead
		p.matches = notBlank
	case `^.{1,100000}$`: // and repeat at most a thousand times
		p.matches = func(s string) bool {
			return s != "" && utf8.RuneCountInString(s) <= 100000 && !strings.Contains(s, "\n")
		}
	default:
		p.compiled = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:` + text + `)$`) })
		p.matches = func(s string) bool { return p.compiled().MatchString(s) }
	}
	return p
}

func notBlank(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(" \t\n\r\f\v", r) })
}
