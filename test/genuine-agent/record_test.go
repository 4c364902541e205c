package genuineagent

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"ssmrun/internal/testenv"
)

// recorder writes down what an agent and the service say on the control channel
// and over the long poll. What it wrote lies in testdata, and TestReplay says it
// again.
type recorder struct {
	t   *testing.T
	tap *testenv.Tap

	mu    sync.Mutex
	lines []exchange
}

// exchange is one line of a record.
type exchange struct {
	// From is agent or service.
	From string `json:"from"`
	// Kind is text, frame, or the operation of a call.
	Kind string `json:"kind"`
	// Bytes is a frame as it was; Text anything else.
	Bytes []byte `json:"bytes,omitempty"`
	Text  string `json:"text,omitempty"`
}

// hidden are the members of calls that a record does not keep: secrets, and
// what is of the machine.
var hidden = []string{"TokenValue", "SecretAccessKey", "SessionToken", "ActivationCode", "ComputerName", "IPAddress"}

// hiddenWord stands where something is hidden.
const hiddenWord = "hidden"

func newRecorder(t *testing.T, s *testenv.Service) *recorder {
	t.Helper()
	r := &recorder{t: t}
	r.tap = testenv.NewTap(t, s, domain, func(m testenv.Said) {
		e := exchange{From: "service", Kind: m.Operation}
		if m.Agent {
			e.From = "agent"
		}
		switch {
		case m.Operation != "":
			e.Text = hide(m.Bytes)
		case m.Text:
			e.Kind, e.Text = "text", hide(m.Bytes)
		default:
			e.Kind, e.Bytes = "frame", m.Bytes
		}
		r.note(e)
	})
	return r
}

func (r *recorder) note(e exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, e)
}

// hide takes secrets out of a JSON text.
func hide(b []byte) string {
	var m map[string]any
	if json.Unmarshal(b, &m) != nil {
		return string(b)
	}
	for _, name := range hidden {
		if _, ok := m[name]; ok {
			m[name] = hiddenWord
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return string(out)
}

// write keeps the record as lines of JSON.
func (r *recorder) write(file string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, l := range r.lines {
		if err := e.Encode(l); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		r.t.Fatal(err)
	}
}
