package document

import (
	"bytes"
	"strings"
	"unicode"

	"ssmrun"
)

// Parse reads a Command document and checks it as CreateDocument does. format
// is FormatJSON, FormatYAML or "" to find out: JSON begins with a brace.
//
// Errors are *ssmrun.Error: CodeInvalidDocumentContent with AWS's text where
// that is known, CodeMaxDocumentSize above ssmrun.MaxDocumentBytes, and
// CodeInvalidSchemaVersion for another type's schema.
func Parse(content []byte, format string) (*Document, error) {
	d, err := read(content, format, ssmrun.MaxDocumentBytes)
	if err != nil {
		return nil, err
	}
	p := parser{doc: d, strict: true}
	if err := p.run(); err != nil {
		return nil, err
	}
	return d, nil
}

// ParseDelivered reads a document that a service has accepted, in JSON: that of
// a command an agent was given, or one that GetDocument answered. It is as
// lenient as the genuine agent: what it does not know it leaves alone, and a
// step whose plugin is unknown fails when its turn comes. It may have up to
// ssmrun.MaxBodyBytes: some of those that AWS owns have more than a caller may
// create.
func ParseDelivered(content []byte) (*Document, error) {
	d, err := read(content, FormatJSON, ssmrun.MaxBodyBytes)
	if err != nil {
		return nil, err
	}
	p := parser{doc: d}
	if err := p.run(); err != nil {
		return nil, err
	}
	return d, nil
}

// read turns content of at most most bytes into a tree whose root is an object.
func read(content []byte, format string, most int) (*Document, error) {
	if len(content) > most {
		return nil, ssmrun.Errorf(ssmrun.CodeMaxDocumentSize, "The document has %d bytes; at most %d are allowed.", len(content), most)
	}
	if format == "" {
		format = DetectFormat(content)
	}
	var root *node
	var err error
	switch format {
	case FormatJSON:
		root, err = readJSON(content)
	case FormatYAML:
		root, err = readYAML(content)
	default:
		return nil, invalid("Document format %q is not supported: a Command document is JSON or YAML.", format)
	}
	if err != nil {
		return nil, err
	}
	if root.kind != object {
		return nil, invalid("The document must be an object.")
	}
	return &Document{Format: format, root: root}, nil
}

// DetectFormat gives FormatJSON for content that begins with a brace or
// bracket, else FormatYAML.
func DetectFormat(content []byte) string {
	content = bytes.TrimLeftFunc(content, unicode.IsSpace)
	if len(content) > 0 && (content[0] == '{' || content[0] == '[') {
		return FormatJSON
	}
	return FormatYAML
}

// parser fills a document from its tree. AWS finds mistakes in an order: a
// parameter of a wrong type comes before a step's unknown plugin, and that
// before a parameter that is used and not declared.
type parser struct {
	doc    *Document
	strict bool
}

func (p *parser) run() error {
	if err := p.schema(); err != nil {
		return err
	}
	if err := p.top(); err != nil {
		return err
	}
	if p.old() {
		if err := p.runtimeConfig(); err != nil {
			return err
		}
	} else if err := p.mainSteps(); err != nil {
		return err
	}
	if p.strict {
		return p.declared()
	}
	return nil
}

// old tells whether the steps are in runtimeConfig.
func (p *parser) old() bool { return strings.HasPrefix(p.doc.SchemaVersion, "1.") }

func (p *parser) schema() error {
	n := p.doc.root.get("schemaVersion")
	if n == nil {
		return invalid("Missing \"schemaVersion\" in the document.")
	}
	version, ok := n.scalar()
	if !ok {
		return invalid("\"schemaVersion\" must be text.")
	}
	p.doc.SchemaVersion = version
	switch version {
	case "1.2", "2.0", "2.2":
		return nil
	case "1.0", "2.0.1", "2.0.2", "2.0.3":
		if !p.strict {
			return nil
		}
	}
	return ssmrun.Errorf(CodeInvalidSchemaVersion, "Schema version %q is not one of a Command document: use 2.2, 2.0 or 1.2.", clip(version))
}

func (p *parser) top() error {
	for _, m := range p.doc.root.members {
		switch m.key {
		case "schemaVersion":
		case "description":
			s, ok := m.value.scalar()
			if !ok && m.value.kind != null {
				return invalid("\"description\" must be text.")
			}
			p.doc.Description = s
		case "parameters":
			if err := p.parameters(m.value); err != nil {
				return err
			}
		case "mainSteps", "runtimeConfig":
			if p.strict && p.old() != (m.key == "runtimeConfig") {
				return invalid("Unknown property %q.", m.key)
			}
		case "outputs", "files", "variables", "assumeRole":
			// The user guide names these for documents of any type.
		default:
			if p.strict {
				return invalid("Unknown property %q.", m.key)
			}
		}
	}
	return nil
}

// runtimeConfig reads the plugins of schema 1.x. Nothing but "id" is looked at
// in a property: AWS accepts unknown fields there, and no properties at all.
func (p *parser) runtimeConfig() error {
	config := p.doc.root.get("runtimeConfig")
	if config == nil {
		return invalid("Missing \"runtimeConfig\" in the document.")
	}
	if config.kind != object || len(config.members) == 0 {
		return invalid("\"runtimeConfig\" must be an object of plugins.")
	}
	p.doc.plugins = []string{}
	for _, m := range config.members {
		if err := p.plugin(m.key); err != nil {
			return err
		}
		p.doc.plugins = append(p.doc.plugins, m.key)
		if m.value.kind != object {
			return invalid("\"%s\" in \"runtimeConfig\" must be an object.", clip(m.key))
		}
		properties := m.value.get("properties")
		switch {
		case properties == nil:
			properties = &node{kind: list}
		case properties.kind == object: // one property may stand without a list
			properties = &node{kind: list, items: []*node{properties}}
		case properties.kind != list:
			return invalid("\"properties\" of \"%s\" must be a list of objects.", clip(m.key))
		}
		for _, property := range properties.items {
			if property.kind != object {
				return invalid("\"properties\" of \"%s\" must be a list of objects.", clip(m.key))
			}
			step := Step{Name: m.key, Action: m.key}
			if id := property.get("id"); id != nil {
				step.ID, _ = id.scalar()
			}
			p.add(step, property)
		}
	}
	return nil
}

func (p *parser) mainSteps() error {
	steps := p.doc.root.get("mainSteps")
	if steps == nil {
		return invalid("Missing \"mainSteps\" in the document.")
	}
	if steps.kind != list || len(steps.items) == 0 {
		return invalid("\"mainSteps\" must be a list of at least one step.")
	}
	seen := map[string]bool{}
	for i, n := range steps.items {
		if n.kind != object {
			return invalid("Step %d of \"mainSteps\" must be an object.", i+1)
		}
		var step Step
		var err error
		if step.Action, err = stepText(n, "action", i); err != nil {
			return err
		}
		if step.Name, err = stepText(n, "name", i); err != nil {
			return err
		}
		if err := p.plugin(step.Action); err != nil {
			return err
		}
		if err := p.stepName(step.Name); err != nil {
			return err
		}
		if seen[step.Name] {
			return invalid("Step name %q is not unique.", clip(step.Name))
		}
		seen[step.Name] = true
		if err := p.precondition(n.get("precondition"), &step); err != nil {
			return err
		}
		if end := n.get("isEnd"); end != nil {
			said, _ := end.scalar()
			step.IsEnd = strings.EqualFold(said, "true")
		}
		inputs := n.get("inputs")
		if inputs == nil || inputs.kind == null {
			inputs = &node{kind: object}
		}
		if inputs.kind != object {
			return invalid("\"inputs\" of step \"%s\" must be an object.", clip(step.Name))
		}
		p.add(step, inputs)
	}
	return nil
}

// stepText gives the text that the step at index i must have under key.
func stepText(step *node, key string, i int) (string, error) {
	m := step.get(key)
	if m == nil {
		return "", invalid("Missing %q in step %d of \"mainSteps\".", key, i+1)
	}
	s, ok := m.scalar()
	if !ok || s == "" {
		return "", invalid("%q in step %d of \"mainSteps\" must be text.", key, i+1)
	}
	return s, nil
}

// plugin refuses one that does not exist. An agent leaves that for later: the
// step fails, the document runs on.
func (p *parser) plugin(name string) error {
	if _, ok := platforms(name); !ok && p.strict {
		return invalid("Unknown plugin name: %s", clip(name))
	}
	return nil
}

// stepName keeps names usable as a folder and as part of an object's key.
// AWS's own rule is not known; this one is meant to be wider.
func (p *parser) stepName(name string) error {
	if !p.strict {
		return nil
	}
	bad := strings.IndexFunc(name, func(r rune) bool { return r == '/' || r == '\\' || !unicode.IsPrint(r) })
	if bad >= 0 || name == "." || name == ".." || len(name) > 128 {
		return invalid("Step name %q is invalid: use 1 to 128 printable characters without a slash.", clip(name))
	}
	return nil
}

func (p *parser) precondition(n *node, step *Step) error {
	if n == nil || n.kind == null || p.doc.SchemaVersion != "2.2" {
		return nil
	}
	if n.kind != object {
		return invalid("\"precondition\" of step \"%s\" must be an object.", clip(step.Name))
	}
	step.Precondition = map[string][]string{}
	for _, m := range n.members {
		operands, ok := m.value.strings()
		if !ok {
			return invalid("\"%s\" in the precondition of step \"%s\" must be a list of text.", clip(m.key), clip(step.Name))
		}
		step.Precondition[m.key] = operands
	}
	return nil
}

func (p *parser) add(step Step, inputs *node) {
	step.Index = len(p.doc.Steps)
	step.Inputs, _ = inputs.value().(map[string]any) // it is an object
	step.doc = p.doc
	p.doc.Steps = append(p.doc.Steps, step)
}

// declared refuses a parameter that is used and not declared.
func (p *parser) declared() error {
	known := map[string]bool{}
	for _, param := range p.doc.Parameters {
		known[param.Name] = true
	}
	body := p.doc.root.get("mainSteps")
	if p.old() {
		body = p.doc.root.get("runtimeConfig")
	}
	return undeclared(body, known)
}

func undeclared(n *node, known map[string]bool) error {
	if n.kind == text {
		for _, ref := range reference.FindAllStringSubmatch(n.text, -1) {
			if !known[ref[1]] {
				return invalid("Parameter %q is not declared.", clip(ref[1]))
			}
		}
	}
	for _, item := range n.items {
		if err := undeclared(item, known); err != nil {
			return err
		}
	}
	for _, m := range n.members {
		if err := undeclared(m.value, known); err != nil {
			return err
		}
	}
	return nil
}
