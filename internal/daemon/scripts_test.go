package daemon_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"ssmrun"
	"ssmrun/internal/testenv"
)

// TestScriptsEndToEnd: scripts as no shell likes them, from SendCommand to the
// agent and back: what the API does not take it refuses by name, all else arrives
// byte for byte, and what is wrong with it stands in the result.
func TestScriptsEndToEnd(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	quoted := func(script string) string {
		b, err := json.Marshal(script)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	send := func(commands string) (code, text, id string) {
		body := `{"DocumentName":"AWS-RunShellScript","InstanceIds":["` + s.InstanceIDs[0] + `"],"Parameters":{"commands":[` + commands + `]}}`
		_, code, text, answer := wireCall{target: "AmazonSSM.SendCommand", body: body}.send(t, s)
		var out struct{ Command struct{ CommandId string } }
		if code == "" {
			if err := json.Unmarshal(answer, &out); err != nil {
				t.Fatal(err)
			}
		}
		return code, text, out.Command.CommandId
	}
	// The script tells the digest of its own beginning.
	odd := "# \t\x01\x7f\u2028 ü ✓ 🙂 \\ ' \" `$(x)` {x} %s &lt; <>\r\n"
	odd = "true\n" + strings.Repeat(odd, 50_000/len(odd))
	digest := fmt.Sprintf("%x  -\n", sha256.Sum256([]byte(odd)))
	for name, c := range map[string]struct {
		commands string // JSON
		code     string // of SendCommand's refusal
		text     string
		status   string
		exit     int32
		stdout   string
		stderr   string
	}{
		"CRLF that does no harm": {quoted("echo a\r\necho b\r\n"), "", "", "Success", 0, "a\r\nb\r\n", ""},
		"CRLF":                   {quoted("if true; then\r\n  echo a\r\nfi\r\n"), "", "", "Failed", 2, "", "3 lines of the script end as on Windows"},
		"a NUL byte":             {`"echo a\u0000b; exit 3"`, "", "", "Failed", 126, "", "the script has 1 NUL bytes"},
		"invalid UTF-8":          {"\"echo a\xffb\"", "SerializationException", "The body is not UTF-8.", "", 0, "", ""},
		"half a surrogate pair":  {`"echo a\ud800b"`, "", "", "Success", 0, "a\uFFFDb\n", ""},
		"bytes made by printf":   {quoted(`printf 'a\377b'`), "", "", "Success", 0, "a\uFFFDb", ""},
		"byte for byte":          {quoted(odd + fmt.Sprintf(`head -c %d "$0" | sha256sum`, len(odd))), "", "", "Success", 0, digest, ""},
		"as long as may be":      {quoted("# " + strings.Repeat("x", 97_000) + "\necho end"), "", "", "Success", 0, "end\n", ""},
		"a megabyte":             {quoted("# " + strings.Repeat("x", 1_000_000) + "\necho end"), "MaxDocumentSizeExceeded", "fetches", "", 0, "", ""},
		"more than a call has":   {quoted(strings.Repeat("x", ssmrun.MaxBodyBytes)), "RequestEntityTooLargeException", "is the limit", "", 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, text, id := send(c.commands)
			if code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("SendCommand: %s %q, want %s %q", code, text, c.code, c.text)
			}
			if id == "" {
				return
			}
			cmd := wait(t, s, id)
			got := invocation(t, s, id, 0)
			out, errs := aws.ToString(got.StandardOutputContent), aws.ToString(got.StandardErrorContent)
			if string(cmd.Status) != c.status || got.ResponseCode != c.exit || out != c.stdout || !strings.Contains(errs, c.stderr) || c.stderr == "" && errs != "" {
				t.Errorf("got %s %d %q %q", got.Status, got.ResponseCode, out, errs)
			}
		})
	}
}
