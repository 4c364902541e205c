package document

import (
	"strings"

	"ssmrun"
)

// FormatText is the format of content that nobody reads: it is kept and given
// back as it is.
const FormatText = "TEXT"

// schemas are the schema versions of the types that have them. Documents of
// other types may be any object.
var schemas = map[string]string{
	AutomationDocument: "0.3", "Automation.ChangeTemplate": "0.3",
	SessionDocument: "1.0", PackageDocument: "2.0", "Policy": "2.0",
}

// ParseAs reads a document of a type as CreateDocument takes it: a Command
// document is parsed and checked, of another type only the schema version is
// looked at, and nothing at all of one in format TEXT. The name of the File is
// left empty. Errors are as of Parse.
func ParseAs(docType string, content []byte, format string) (*File, error) {
	f := &File{Content: content, Format: format, Type: docType}
	if len(content) > ssmrun.MaxDocumentBytes {
		_, err := read(content, format, ssmrun.MaxDocumentBytes)
		return nil, err
	}
	if docType == CommandDocument {
		var err error
		if f.Document, err = Parse(content, format); err != nil {
			return nil, err
		}
		f.SchemaVersion = f.Document.SchemaVersion
		return f, nil
	}
	if format == FormatText {
		return f, nil
	}
	d, err := read(content, format, ssmrun.MaxDocumentBytes)
	if err != nil {
		return nil, err
	}
	if n := d.root.get("schemaVersion"); n != nil {
		f.SchemaVersion, _ = n.scalar()
	}
	want, ok := schemas[docType]
	switch {
	case !ok || f.SchemaVersion == want:
	case f.SchemaVersion == "":
		return nil, invalid("Missing \"schemaVersion\" in the document.")
	default:
		return nil, ssmrun.Errorf(CodeInvalidSchemaVersion, "%s is not a valid schema version for %s document type", clip(f.SchemaVersion), docType)
	}
	return f, nil
}

// Platforms gives where a document of the type runs; nil where that is not
// said of it.
func (f *File) Platforms() []string {
	switch {
	case f.Document != nil:
		return f.Document.PlatformTypes()
	case strings.HasPrefix(f.Type, AutomationDocument), f.Type == SessionDocument:
		return []string{Windows, Linux, MacOS}
	default:
		return nil
	}
}

// Summary gives what DescribeDocument says about content of any type: its
// description, and its parameters where they look like a Command document's.
func Summary(content []byte, format string) Description {
	if format == FormatText {
		return Description{}
	}
	d, err := read(content, format, ssmrun.MaxBodyBytes)
	if err != nil {
		return Description{}
	}
	p := parser{doc: d}
	if n := d.root.get("description"); n != nil {
		d.Description, _ = n.scalar()
	}
	if n := d.root.get("parameters"); n != nil && p.parameters(n) != nil {
		d.Parameters = nil
	}
	out := d.Describe()
	out.PlatformTypes = nil
	return out
}
