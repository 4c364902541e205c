package agent

import (
	"strings"
	"testing"

	"ssmrun/internal/document"
	"ssmrun/internal/wire"
)

// FuzzRead reads anything as a command's content, and puts the parameters into
// its steps, without running them: nothing crashes, and what is taken is within
// its bounds.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "{}", "[]", "null", `{"CommandId":"c","DocumentContent":[]}`, `{"CommandId":"c","DocumentContent":{"schemaVersion":"9.9"}}`,
		`{"CommandId":"c","DocumentName":"d","Parameters":{"x":["1",2,{"a":null}],"workingDirectory":""},"DocumentContent":{"schemaVersion":"2.2",` +
			`"parameters":{"x":{"type":"StringList","interpolationType":"ENV_VAR"},"workingDirectory":{"type":"String","default":"/"}},` +
			`"mainSteps":[{"action":"aws:runShellScript","name":"a","precondition":{"StringEquals":["platformType","Linux"]},"inputs":{"runCommand":["{{ x }}","{{ssm:p}}"],"workingDirectory":"{{ workingDirectory }}","timeoutSeconds":"{{x}}"}}]}}`,
		`{"CommandId":"c","Parameters":{},"DocumentContent":{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[{"id":"0.aws:runShellScript","runCommand":"x"},{}]}}}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		c, err := (&Agent{}).read("c", "j", content)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("refused without a reason")
			}
			return
		}
		if n := len(c.doc.Steps); n == 0 || n > maxSteps || len(content) > maxContent {
			t.Errorf("%d steps in %d bytes", n, len(content))
		}
		if len(groups(c.doc)) == 0 {
			t.Error("nothing to report on")
		}
		for _, s := range c.doc.Steps {
			_, _ = s.Met("Linux", c.params)
			_, _ = s.Resolve(c.params)
			_, _ = s.ResolveStored(c.params, map[string]document.Stored{})
		}
		if _, err := wire.Marshal(c.payload); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
