package document

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", file, got)
	}
}

// TestDescribe compares whole descriptions, as they go over the wire, with
// files.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"two-properties-12.json", "cross-platform-22.yaml", "every-type-22.json"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.MarshalIndent(parse(t, name).Describe(), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".described", append(got, '\n'))
		})
	}
}

// TestDescribeAsAWS holds single members as AWS was seen to answer them.
func TestDescribeAsAWS(t *testing.T) {
	t.Parallel()
	const steps = `"mainSteps":[` + step + `]}`
	tests := map[string]struct{ document, want string }{
		"no parameters":         {`{"schemaVersion":"2.0",` + steps, `{"SchemaVersion":"2.0","PlatformTypes":["Linux","MacOS"]}`},
		"empty parameters":      {`{"schemaVersion":"2.2","description":"d","parameters":{},` + steps, `{"SchemaVersion":"2.2","Description":"d","Parameters":[],"PlatformTypes":["Linux","MacOS"]}`},
		"a list's default":      {`{"schemaVersion":"2.2","parameters":{"c":{"type":"StringList","description":"Lines","default":["printf 'x\\n' > y"]}},` + steps, `{"SchemaVersion":"2.2","Parameters":[{"Name":"c","Type":"StringList","Description":"Lines","DefaultValue":"[\"printf 'x\\\\n' \u003e y\"]"}],"PlatformTypes":["Linux","MacOS"]}`},
		"a text's default":      {`{"schemaVersion":"2.2","parameters":{"c":{"type":"String","default":"10","allowedPattern":"^[0-9]+$"}},` + steps, `{"SchemaVersion":"2.2","Parameters":[{"Name":"c","Type":"String","DefaultValue":"10"}],"PlatformTypes":["Linux","MacOS"]}`},
		"a default of null":     {`{"schemaVersion":"2.2","parameters":{"c":{"type":"String","default":null}},` + steps, `{"SchemaVersion":"2.2","Parameters":[{"Name":"c","Type":"String"}],"PlatformTypes":["Linux","MacOS"]}`},
		"1.2 and no properties": {`{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[]}}}`, `{"SchemaVersion":"1.2","PlatformTypes":["Linux","MacOS"]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(parseText(t, tt.document).Describe())
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}
