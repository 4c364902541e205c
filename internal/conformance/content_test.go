package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The phrases of `given` that tell what is in a document.
var (
	schemaNamed   = regexp.MustCompile(`\bschema (\d\.\d)`)
	stepNamed     = regexp.MustCompile(`step named (\w+)`)
	defaultValue  = regexp.MustCompile(`(?:parameter (\w+) )?default '([^']*)'`)
	quoted        = regexp.MustCompile(`'([^']*)'`)
	inBraces      = regexp.MustCompile(`\{\{ *(\w+) *\}\}`)
	parameterName = regexp.MustCompile(`(?:(String|StringList) )?parameter (\w+)|an? (\w+) parameter`)
	pattern       = regexp.MustCompile(`allowedPattern (\S+)`)
	bounds        = regexp.MustCompile(`\b(minChars|maxChars|minItems|maxItems) (\d+)`)
	stepCount     = regexp.MustCompile(`\b(one|two|three|four) (?:steps?|propert(?:y|ies))`)
)

// schemaOf is the schema that the words name; 2.2 where they name none.
func schemaOf(text string) string {
	if m := schemaNamed.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return "2.2"
}

// member is a name with its value, because the order of members counts.
type member struct {
	name  string
	value any
}

type object []member

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", m.name)
		var v bytes.Buffer
		e := json.NewEncoder(&v)
		e.SetEscapeHTML(false)
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
		b.Write(bytes.TrimSpace(v.Bytes()))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// contentSpec is a Command document to be written.
type contentSpec struct {
	schema, description string
	bare                bool // no member "parameters"
	parameters          object
	plugin              string
	steps               []step
	sameID              bool // all properties of schema 1.2 have one id
}

type step struct {
	name, timeout string
	run           any
}

func (s *contentSpec) json() string {
	plugin := orElse(s.plugin, "aws:runShellScript")
	doc := object{{"schemaVersion", s.schema}}
	if s.description != "" {
		doc = append(doc, member{"description", s.description})
	}
	if !s.bare {
		if s.parameters == nil {
			s.parameters = object{}
		}
		doc = append(doc, member{"parameters", s.parameters})
	}
	parts := []object{}
	for i, st := range s.steps {
		inputs := object{{"runCommand", st.run}, {"timeoutSeconds", st.timeout}}
		if s.schema == "1.2" {
			id := fmt.Sprintf("step%d", i)
			if s.sameID {
				id = "step"
			}
			parts = append(parts, append(inputs, member{"id", id}))
		} else {
			parts = append(parts, object{{"action", plugin}, {"name", st.name}, {"inputs", inputs}})
		}
	}
	if s.schema == "1.2" {
		doc = append(doc, member{"runtimeConfig", object{{plugin, object{{"properties", parts}}}}})
	} else {
		doc = append(doc, member{"mainSteps", parts})
	}
	b, _ := doc.MarshalJSON() // strings, lists and objects cannot fail
	return string(b)
}

// fromDescription writes the document that AWS describes so.
func (s *contentSpec) fromDescription(d any) {
	s.description = textAt(d, "Description")
	s.schema = orElse(textAt(d, "SchemaVersion"), s.schema)
	list, ok := at(d, "Parameters").([]any)
	s.bare = !ok
	run, timeout := any([]string{"true"}), "60"
	for _, p := range list {
		name, kind := textAt(p, "Name"), textAt(p, "Type")
		decl := object{{"type", kind}}
		if text := textAt(p, "Description"); text != "" {
			decl = append(decl, member{"description", text})
		}
		if value, ok := at(p, "DefaultValue").(string); ok {
			v := any(value)
			if kind != "String" && json.Valid([]byte(value)) {
				v = json.RawMessage(value)
			}
			decl = append(decl, member{"default", v})
		}
		s.parameters = append(s.parameters, member{name, decl})
		switch {
		case kind == "StringList":
			run = "{{ " + name + " }}"
		case name == "executionTimeout":
			timeout = "{{ executionTimeout }}"
		}
	}
	platforms, _ := at(d, "PlatformTypes").([]any)
	if len(platforms) == 1 && platforms[0] == "Windows" {
		s.plugin = "aws:runPowerShellScript"
	}
	s.steps = []step{{"runShell", timeout, run}}
}

// fromWords writes the document that the words of a case tell of. used: it is
// the version that the case's command runs.
func (s *contentSpec) fromWords(one *theCase, text string, used bool) {
	run := []any{"true"}
	if row := rowOf(one.Operation, one.Output); used && row["DocumentName"] == "<document>" && one.Operation != "SendCommand" {
		run = new(plan).script([]*theCase{one}, text)
	}
	defaults := map[string]string{}
	rest := defaultValue.ReplaceAllStringFunc(text, func(phrase string) string {
		m := defaultValue.FindStringSubmatch(phrase)
		defaults[m[1]] = m[2]
		return ""
	})
	var timeouts []string
	if strings.Contains(rest, "step") || strings.Contains(rest, "propert") || strings.Contains(rest, "timeoutSeconds") {
		for _, m := range quoted.FindAllStringSubmatch(rest, -1) {
			timeouts = append(timeouts, m[1])
		}
	}
	n := max(len(timeouts), 1)
	if m := stepCount.FindStringSubmatch(text); m != nil {
		n = max(n, number(m[1]))
	}
	if strings.Contains(text, "properties []") || strings.Contains(text, "no steps") {
		n = 0
	}
	name := orElse(textAt(one.Input, "PluginName"), orElse(textAt(one.Output, "PluginName"), "runShell"))
	if m := stepNamed.FindStringSubmatch(text); m != nil {
		name = m[1]
	}
	s.sameID = strings.Contains(text, "same id")
	for i := range n {
		st := step{name: name, timeout: "60", run: run}
		if i > 0 {
			st.name = fmt.Sprintf("%s%d", name, i)
		}
		if len(timeouts) > 0 {
			st.timeout = timeouts[min(i, len(timeouts)-1)]
		}
		s.steps = append(s.steps, st)
	}
	s.declare(one, text, strings.Join(timeouts, " "), defaults)
}

// declare writes the parameters that the words name, that the steps refer to,
// and that the caller gives.
func (s *contentSpec) declare(one *theCase, text, references string, defaults map[string]string) {
	type parameter struct{ name, kind string }
	var list []parameter
	add := func(name, kind string) {
		known := slices.ContainsFunc(list, func(p parameter) bool { return p.name == name })
		if name != "" && !known {
			list = append(list, parameter{name, orElse(kind, "String")})
		}
	}
	for _, m := range parameterName.FindAllStringSubmatch(text, -1) {
		add(orElse(m[2], m[3]), m[1])
	}
	for _, m := range inBraces.FindAllStringSubmatch(references, -1) {
		add(m[1], "")
	}
	if given, ok := one.Input["Parameters"].(map[string]any); ok && one.success() {
		for name, values := range given {
			kind := "String"
			if l, _ := values.([]any); len(l) != 1 || name == "commands" {
				kind = "StringList"
			}
			add(name, kind)
		}
	}
	for _, p := range list {
		value, ok := defaults[p.name]
		if !ok {
			value = orElse(defaults[""], "hello")
		}
		if p.name == "executionTimeout" && !ok {
			value = orElse(defaults[""], "60")
		}
		decl := object{{"type", p.kind}, {"default", any(value)}}
		if p.kind == "StringList" {
			decl[1].value = []string{value}
		}
		if m := pattern.FindStringSubmatch(text); m != nil {
			decl = append(decl, member{"allowedPattern", m[1]})
		}
		for _, m := range bounds.FindAllStringSubmatch(text, -1) {
			decl = append(decl, member{m[1], number(m[2])})
		}
		s.parameters = append(s.parameters, member{p.name, decl})
	}
}
