package document

import "testing"

// BenchmarkParse is what one SendCommand of a stored document costs.
func BenchmarkParse(b *testing.B) {
	builtIn, _ := BuiltIn("AWS-RunShellScript")
	content := []byte(builtIn.Content)
	for b.Loop() {
		if _, err := Parse(content, FormatJSON); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSend is what one SendCommand of AWS-RunShellScript costs: it is
// parsed already.
func BenchmarkSend(b *testing.B) {
	given := map[string][]string{"commands": {"true"}, "executionTimeout": {"60"}}
	for b.Loop() {
		builtIn, _ := BuiltIn("AWS-RunShellScript")
		if err := builtIn.Document.CheckParameters(given); err != nil {
			b.Fatal(err)
		}
		if builtIn.Document.ExecutionSeconds(given) != 60 {
			b.Fatal("not 60 seconds")
		}
	}
}

// BenchmarkResolve is what one command costs an agent, parsing included.
func BenchmarkResolve(b *testing.B) {
	builtIn, _ := BuiltIn("AWS-RunShellScript")
	content := builtIn.Document.JSON()
	given := map[string][]string{"commands": {"true"}, "executionTimeout": {"60"}}
	for b.Loop() {
		d, err := ParseDelivered(content)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Steps[0].Resolve(given); err != nil {
			b.Fatal(err)
		}
	}
}
