package document

import "ssmrun"

// Formats of a document's content, as DocumentFormat spells them.
const (
	FormatJSON = "JSON"
	FormatYAML = "YAML"
)

// CodeInvalidSchemaVersion is the code of a document whose schemaVersion is
// not one of a Command document's.
const CodeInvalidSchemaVersion ssmrun.Code = "InvalidDocumentSchemaVersion"

// Document is a Command document. It is not changed after Parse, so it may be
// shared by goroutines.
type Document struct {
	// SchemaVersion is 1.2, 2.0 or 2.2; one that was delivered to an agent may
	// also be 1.0, 2.0.1, 2.0.2 or 2.0.3.
	SchemaVersion string
	Description   string
	// Parameters are in the document's order. Nil where the document has no
	// "parameters" at all, empty where that is {}: AWS describes the two
	// differently.
	Parameters []Parameter
	// Steps are what an agent runs, in order: for schema 2.x the mainSteps, for
	// schema 1.x every property of every plugin of runtimeConfig.
	Steps []Step
	// Format is FormatJSON or FormatYAML: what the content was.
	Format string

	plugins []string // keys of runtimeConfig, in order; nil for schema 2.x
	root    *node
}

// Step is one thing to run.
type Step struct {
	// Name is what the result is asked by, and what keys it in an agent's
	// reply: the step's name for schema 2.x, the plugin's for 1.x.
	Name string
	// Action is the plugin that runs it, "aws:runShellScript".
	Action string
	// ID is the "id" of a schema 1.x property, "0.aws:runShellScript"; "" for
	// schema 2.x and where a property has none.
	ID string
	// Index is the position in Document.Steps, from 0.
	Index int
	// Inputs are the step's inputs before anything is put into them, as
	// encoding/json reads JSON with UseNumber. Never nil. Not to be changed.
	Inputs map[string]any
	// Precondition is operator → operands as written; nil for none and for
	// schemas below 2.2, whose agents do not look at it.
	Precondition map[string][]string
	// IsEnd: the document ends after this step, however it went. A step says it
	// beside its inputs or among them; this is the former.
	IsEnd bool

	doc *Document
}

// PluginNames gives the names under which results are asked for and kept, in
// order and each once: the names of the steps for schema 2.x, the plugins
// ("aws:runShellScript") for 1.x, where all properties of a plugin share one
// result.
func (d *Document) PluginNames() []string {
	if d.plugins != nil {
		return append([]string(nil), d.plugins...)
	}
	names := make([]string, len(d.Steps))
	for i, s := range d.Steps {
		names[i] = s.Name
	}
	return names
}

// Action gives the plugin behind a name of PluginNames, "" for another name.
func (d *Document) Action(name string) string {
	if d.plugins != nil {
		for _, p := range d.plugins {
			if p == name {
				return p
			}
		}
		return ""
	}
	for _, s := range d.Steps {
		if s.Name == name {
			return s.Action
		}
	}
	return ""
}

// Parameter gives the parameter called name.
func (d *Document) Parameter(name string) (Parameter, bool) {
	for _, p := range d.Parameters {
		if p.Name == name {
			return p, true
		}
	}
	return Parameter{}, false
}
