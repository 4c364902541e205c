package document

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBuiltIns(t *testing.T) {
	t.Parallel()
	if _, err := builtIns(); err != nil {
		t.Fatal(err)
	}
	names := BuiltInNames()
	if len(names) == 0 {
		t.Fatal("there are none")
	}
	for _, name := range names {
		b, ok := BuiltIn(name)
		if !ok || b.Name != name || b.Owner != "Amazon" || b.Version != "1" || b.Format != FormatJSON || b.Type != CommandDocument || b.CreatedDate.IsZero() {
			t.Errorf("%s: %+v", name, b)
		}
		if !strings.HasPrefix(name, "AWS") {
			t.Errorf("%s does not begin with AWS", name)
		}
		if unchecked := b.Document.UncheckedPatterns(); len(unchecked) > 0 {
			t.Errorf("%s: %v", name, unchecked[0].PatternError())
		}
	}
	if _, ok := BuiltIn("AWS-Nothing"); ok {
		t.Error("there is AWS-Nothing")
	}
}

// TestRunShellScript holds the facts of AWS's document.
func TestRunShellScript(t *testing.T) {
	t.Parallel()
	b, ok := BuiltIn("AWS-RunShellScript")
	if !ok {
		t.Fatal("it is not there")
	}
	type parameter struct {
		Name    string
		Type    Type
		Default any
		Pattern string
		Bounds  string
	}
	var got []parameter
	for _, p := range b.Document.Parameters {
		if p.Description == "" {
			t.Errorf("%s has no description", p.Name)
		}
		bounds, err := json.Marshal([]*int{p.MinItems, p.MaxItems, p.MinChars, p.MaxChars})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, parameter{p.Name, p.Type, p.Default, p.AllowedPattern, string(bounds)})
	}
	want := []parameter{
		{"commands", TypeStringList, nil, "", "[1,null,null,null]"},
		{"workingDirectory", TypeString, "", "", "[null,null,null,4096]"},
		{"executionTimeout", TypeString, "3600", "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)", "[null,null,null,null]"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if b.SchemaVersion != "1.2" || !cmp.Equal(b.PlatformTypes, []string{Linux, MacOS}) || !cmp.Equal(b.Document.PluginNames(), []string{"aws:runShellScript"}) {
		t.Errorf("schema %s on %v, plugins %v", b.SchemaVersion, b.PlatformTypes, b.Document.PluginNames())
	}
	if s := b.Document.Steps; len(s) != 1 || s[0].ID != "0.aws:runShellScript" {
		t.Errorf("steps %+v", s)
	}
}
