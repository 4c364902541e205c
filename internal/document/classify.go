package document

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strings"

	"ssmrun"
)

// Types of documents that can be told from their content, as DocumentType
// spells them.
const (
	CommandDocument    = "Command"
	AutomationDocument = "Automation"
	SessionDocument    = "Session"
	PackageDocument    = "Package"
)

// Classify tells the type of a document from its content, JSON or YAML, and
// its schema version: 0.3 is Automation, 1.0 is Session, 1.2, 2.0 and 2.2 are
// Command, 2.0 with packages is Package. Nothing else of it is checked. The
// error is as of Parse.
//
// Policy documents look like Command ones of schema 2.0 and are taken for them.
func Classify(content []byte) (docType, schemaVersion string, err error) {
	return classifyAs(content, "")
}

func classifyAs(content []byte, format string) (docType, schemaVersion string, err error) {
	d, err := read(content, format, ssmrun.MaxDocumentBytes)
	if err != nil {
		return "", "", err
	}
	n := d.root.get("schemaVersion")
	if n == nil {
		return "", "", invalid("Missing \"schemaVersion\" in the document.")
	}
	version, ok := n.scalar()
	if !ok {
		return "", "", invalid("\"schemaVersion\" must be text.")
	}
	switch version {
	case "0.3":
		return AutomationDocument, version, nil
	case "1.0":
		if d.root.get("runtimeConfig") != nil {
			return CommandDocument, version, nil
		}
		return SessionDocument, version, nil
	case "1.2", "2.2":
		return CommandDocument, version, nil
	case "2.0":
		if d.root.get("packages") != nil && d.root.get("mainSteps") == nil {
			return PackageDocument, version, nil
		}
		return CommandDocument, version, nil
	default:
		return "", "", ssmrun.Errorf(CodeInvalidSchemaVersion, "Schema version %q is not known.", clip(version))
	}
}

// File is a document that was read from a file.
type File struct {
	Name          string // of the document: the file's without folder and extension
	Content       []byte
	Format        string // FormatJSON or FormatYAML
	Type          string // Command, Automation, …
	SchemaVersion string
	// Document is nil where the Type is not Command.
	Document *Document
}

var documentName = regexp.MustCompile(`^[a-zA-Z0-9_\-.]{3,128}$`)

// ParseFile reads a document from the file called name, whose extension is
// .json, .yaml or .yml. Errors name the file.
func ParseFile(name string, content []byte) (*File, error) {
	extension := path.Ext(name)
	f := &File{Name: strings.TrimSuffix(path.Base(name), extension), Content: content}
	switch strings.ToLower(extension) {
	case ".json":
		f.Format = FormatJSON
	case ".yaml", ".yml":
		f.Format = FormatYAML
	default:
		return nil, fmt.Errorf("read document %s: the file's name must end in .json, .yaml or .yml", name)
	}
	if !documentName.MatchString(f.Name) {
		return nil, fmt.Errorf("read document %s: a document's name has 3 to 128 letters, digits, dots, hyphens and underscores", name)
	}
	var err error
	if f.Type, f.SchemaVersion, err = classifyAs(content, f.Format); err != nil {
		return nil, fmt.Errorf("read document %s: %w", name, err)
	}
	if f.Type != CommandDocument {
		return f, nil
	}
	if f.Document, err = Parse(content, f.Format); err != nil {
		return nil, fmt.Errorf("read document %s: %w", name, err)
	}
	return f, nil
}

// ReadDir reads the documents at the top of a folder, sorted by name. Other
// files and folders are passed over; a document that is not one, and two files
// for one name, are errors.
func ReadDir(fsys fs.FS) ([]*File, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}
	var out []*File
	from := map[string]string{}
	for _, e := range entries {
		switch strings.ToLower(path.Ext(e.Name())) {
		case ".json", ".yaml", ".yml":
		default:
			continue
		}
		if e.IsDir() {
			continue
		}
		content, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, fmt.Errorf("read document %s: %w", e.Name(), err)
		}
		f, err := ParseFile(e.Name(), content)
		if err != nil {
			return nil, err
		}
		if other, ok := from[f.Name]; ok {
			return nil, fmt.Errorf("read document %s: %s has the same name: remove one", e.Name(), other)
		}
		from[f.Name] = e.Name()
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}
