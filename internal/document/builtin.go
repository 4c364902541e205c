package document

import (
	"embed"
	"io/fs"
	"sync"
	"time"
)

//go:embed documents
var embedded embed.FS

// builtIns reads the embedded documents once: they cannot change.
var builtIns = sync.OnceValues(func() ([]*File, error) {
	folder, err := fs.Sub(embedded, "documents")
	if err != nil {
		return nil, err
	}
	return ReadDir(folder)
})

// Builtin is a document that AWS owns and everybody has.
type Builtin struct {
	Name          string
	Content       string // JSON
	Owner         string // "Amazon"
	Version       string // "1"
	Type          string // "Command"
	Format        string // FormatJSON
	SchemaVersion string
	PlatformTypes []string
	CreatedDate   time.Time
	// Document is Content, parsed; nil where Type is not Command.
	Document *Document
}

// BuiltIn gives the AWS-owned document called name; false where there is none.
// Names, parameters, defaults and constraints are AWS's, the words are not. A
// document is added by putting its file into the documents folder.
func BuiltIn(name string) (*Builtin, bool) {
	files, err := builtIns()
	if err != nil {
		return nil, false // a test reads all of them
	}
	for _, f := range files {
		if f.Name == name {
			b := &Builtin{
				Name:          f.Name,
				Content:       string(f.Content),
				Owner:         "Amazon",
				Version:       "1",
				Type:          f.Type,
				Format:        f.Format,
				SchemaVersion: f.SchemaVersion,
				CreatedDate:   time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC),
				Document:      f.Document,
			}
			if f.Document != nil {
				b.PlatformTypes = f.Document.PlatformTypes()
			}
			return b, true
		}
	}
	return nil, false
}

// BuiltInNames gives the names of the AWS-owned documents, sorted.
func BuiltInNames() []string {
	files, err := builtIns()
	if err != nil {
		return nil
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	return names
}
