package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// The rules, as the file and refusals name them.
const (
	RuleDocuments = "documents"
	RulePlugins   = "plugins"
	RuleRunAs     = "run_as"
	RuleOutputs   = "outputs"
)

// Policy is what a file says. It does not change.
type Policy struct {
	// Path is the file, SHA256 that of its content in hexadecimal digits.
	Path, SHA256 string

	rules rules
}

// rules is the file's content. A nil list is a rule that is not there.
type rules struct {
	Version   int        `yaml:"version"`
	Documents []document `yaml:"documents"`
	Plugins   []string   `yaml:"plugins"`
	RunAs     []string   `yaml:"run_as"`
	Outputs   []output   `yaml:"outputs"`
}

type document struct {
	Name       string   `yaml:"name"` // * is any text
	SHA256     string   `yaml:"sha256"`
	Parameters []string `yaml:"parameters"` // nil: any
}

type output struct {
	Bucket string `yaml:"bucket"`
	Prefix string `yaml:"prefix"`
}

// Request is what a command wants of the host.
type Request struct {
	// Document is the name, and SHA256 the Hash of the content, as delivered.
	// SHA256 may be "" where the content is not known, which fits no rule that
	// names one.
	Document, SHA256 string
	// Parameters are the names of those that the caller gave.
	Parameters []string
	// Bucket is where outputs go, "" for nowhere; Prefix what their keys begin with.
	Bucket, Prefix string
	// Steps are those that would run on this host.
	Steps []Step
}

// Step is one step of a request.
type Step struct {
	Name, Plugin string
	// User is whom it runs as; Chosen that the step itself asked for that.
	User   string
	Chosen bool
}

// Refusal is why a command may not run.
type Refusal struct {
	Path   string // of the policy
	Rule   string // "" where the policy itself cannot be used
	Reason string
}

// Error implements error.
func (r *Refusal) Error() string {
	s := "refused by this host's policy " + r.Path + ": " + r.Reason
	if r.Rule != "" {
		s += " (rule " + r.Rule + ")"
	}
	return s
}

// Hash gives the SHA-256, in hexadecimal digits, of a document: of the bytes of
// DocumentContent as the agent gets them, the JSON value from its first brace to
// its last. This project's service sends it without white space between tokens.
func Hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Refuse says why the command may not run; nil where it may. A nil Policy, that
// of a host without one, refuses only users that steps choose.
func (p *Policy) Refuse(r Request) *Refusal {
	if p != nil {
		if why := p.document(r); why != "" {
			return p.no(RuleDocuments, why)
		}
		if why := p.output(r); why != "" {
			return p.no(RuleOutputs, why)
		}
	}
	for _, s := range r.Steps {
		if refusal := p.RefuseStep(s); refusal != nil {
			return refusal
		}
	}
	return nil
}

// RefuseStep is Refuse for one step.
func (p *Policy) RefuseStep(s Step) *Refusal {
	switch {
	case p == nil && s.Chosen:
		return &Refusal{"(there is none)", RuleRunAs, fmt.Sprintf("step %s asks for user %s, which only a policy's run_as can allow", s.Name, s.User)}
	case p == nil:
		return nil
	case p.rules.Plugins != nil && !slices.Contains(p.rules.Plugins, s.Plugin):
		return p.no(RulePlugins, fmt.Sprintf("plugin %s of step %s is not in plugins", s.Plugin, s.Name))
	case p.rules.RunAs == nil && s.Chosen:
		return p.no(RuleRunAs, fmt.Sprintf("step %s asks for user %s, and there is no run_as that names it", s.Name, s.User))
	case p.rules.RunAs != nil && !slices.Contains(p.rules.RunAs, s.User):
		return p.no(RuleRunAs, fmt.Sprintf("step %s would run as user %s, who is not in run_as", s.Name, s.User))
	}
	return nil
}

func (p *Policy) no(rule, reason string) *Refusal { return &Refusal{p.Path, rule, reason} }

// document says why the document or its parameters may not be used. One entry
// has to fit as a whole; what is said is about the one that fits best.
func (p *Policy) document(r Request) string {
	if p.rules.Documents == nil {
		return ""
	}
	why := fmt.Sprintf("document %s is not in documents", r.Document)
	hash := r.SHA256
	if hash == "" {
		hash = "unknown"
	}
	best := 0
	for _, d := range p.rules.Documents {
		switch given := d.excess(r.Parameters); {
		case d.Name != "" && !match(d.Name, r.Document):
		case d.SHA256 != "" && d.SHA256 != r.SHA256:
			if best < 1 && d.Name != "" {
				best, why = 1, fmt.Sprintf("document %s has another content than documents names: its sha256 is %s", r.Document, hash)
			}
		case len(given) > 0:
			best, why = 2, fmt.Sprintf("document %s may not be given the parameters %s", r.Document, strings.Join(given, ", "))
		default:
			return ""
		}
	}
	return why
}

// excess gives the parameters that may not be given.
func (d document) excess(given []string) []string {
	if d.Parameters == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(given), func(name string) bool { return slices.Contains(d.Parameters, name) })
}

// match tells whether a name fits a pattern in which * is any text.
func match(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return pattern == name
	}
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	for _, part := range parts[1:last] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, parts[last])
}

func (p *Policy) output(r Request) string {
	if p.rules.Outputs == nil || r.Bucket == "" {
		return ""
	}
	target := "s3://" + r.Bucket + "/" + r.Prefix
	for segment := range strings.SplitSeq(r.Prefix, "/") {
		if segment == ".." || segment == "." {
			return fmt.Sprintf("outputs would go to %s, whose prefix climbs", target)
		}
	}
	for _, o := range p.rules.Outputs {
		if o.Bucket == r.Bucket && below(r.Prefix, o.Prefix) {
			return ""
		}
	}
	return fmt.Sprintf("outputs would go to %s, which is not in outputs", target)
}

// below tells whether keys that begin with prefix are in the folder.
func below(prefix, folder string) bool {
	prefix, folder = strings.Trim(prefix, "/"), strings.Trim(folder, "/")
	return folder == "" || prefix == folder || strings.HasPrefix(prefix, folder+"/")
}

// OtherUsers tells whether steps may choose a user.
func (p *Policy) OtherUsers() []string {
	if p == nil {
		return nil
	}
	return p.rules.RunAs
}

// Text says for people what is let through, a line per rule.
func (p *Policy) Text() string {
	var b strings.Builder
	list := func(rule string, there bool, items []string, without string) {
		switch {
		case !there:
			fmt.Fprintf(&b, "%-10s %s\n", rule, without)
		case len(items) == 0:
			fmt.Fprintf(&b, "%-10s none\n", rule)
		}
		for _, item := range items {
			fmt.Fprintf(&b, "%-10s %s\n", rule, item)
			rule = ""
		}
	}
	var documents, outputs []string
	for _, d := range p.rules.Documents {
		text := orElse(d.Name, "any name")
		if d.SHA256 != "" {
			text += ", sha256 " + d.SHA256
		}
		switch {
		case d.Parameters == nil:
		case len(d.Parameters) == 0:
			text += ", without parameters"
		default:
			text += ", parameters " + strings.Join(d.Parameters, " ")
		}
		documents = append(documents, text)
	}
	for _, o := range p.rules.Outputs {
		outputs = append(outputs, "s3://"+o.Bucket+"/"+strings.Trim(o.Prefix, "/"))
	}
	list(RuleDocuments, p.rules.Documents != nil, documents, "any")
	list(RulePlugins, p.rules.Plugins != nil, p.rules.Plugins, "any")
	list(RuleRunAs, p.rules.RunAs != nil, p.rules.RunAs, "the agent's user; steps may choose none")
	list(RuleOutputs, p.rules.Outputs != nil, outputs, "any bucket")
	return b.String()
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
