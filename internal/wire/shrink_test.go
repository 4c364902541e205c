package wire

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ssmrun"
)

const testJob = "aws.ssm.565f326a-c117-4a36-9b6a-2f3a8a0d3e5e.mi-0123456789abcdef0"

// packedSize is the size of the frame's payload, by the encoder.
func packedSize(t testing.TB, r Reply) int {
	t.Helper()
	content, err := Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Marshal(AgentJobReply{SchemaVersion: 1, JobID: testJob, Content: string(content), Topic: TopicSendCommand})
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}

func oneStep(stdout, stderr string) Reply {
	return Reply{
		DocumentStatus: StatusFailed,
		RuntimeStatus: map[string]PluginStatus{"runShellScript": {
			Status: StatusFailed, Code: 3, Name: "aws:runShellScript",
			Output: ssmrun.Join(stdout, stderr), StandardOutput: stdout, StandardError: stderr,
		}},
	}
}

func TestWireCostIsTheEncoders(t *testing.T) {
	t.Parallel()
	empty := packedSize(t, oneStep("", ""))
	check := func(t testing.TB, s string) {
		t.Helper()
		r := oneStep("", "")
		p := r.RuntimeStatus["runShellScript"]
		p.StandardOutput = s
		r.RuntimeStatus["runShellScript"] = p
		if got, want := wireCost(s), packedSize(t, r)-empty; got != want {
			t.Errorf("%q costs %d, counted %d", s, want, got)
		}
	}
	for c := range 256 {
		check(t, string([]byte{byte(c)}))
	}
	for _, r := range []rune{0x7f, 0x80, 0x9f, 0x7ff, 0x800, 0x2027, 0x2028, 0x2029, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff} {
		check(t, string(r))
	}
	rapid.Check(t, func(rt *rapid.T) { check(t, string(rapid.SliceOf(rapid.Byte()).Draw(rt, "s"))) })
}

func TestFitReplyLeavesWhatFits(t *testing.T) {
	t.Parallel()
	r := oneStep(strings.Repeat("x", 24_000), strings.Repeat("<&>\"\n", 4_800))
	got, err := FitReply(testJob, TopicSendCommand, r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Errorf("changed (-before +after):\n%s", diff)
	}
}

func TestFitReplyCutsNULs(t *testing.T) {
	t.Parallel()
	nuls := strings.Repeat("\x00", 24_000)
	r := oneStep(nuls, nuls)
	r.DocumentTraceOutput = "kept"
	before := r.RuntimeStatus["runShellScript"]
	got, err := FitReply(testJob, TopicSendCommand, r)
	if err != nil {
		t.Fatal(err)
	}
	size := packedSize(t, got)
	if size > MaxReplyBytes || size < MaxReplyBytes-30 {
		t.Errorf("%d bytes: over the limit, or more was cut than needed", size)
	}
	p := got.RuntimeStatus["runShellScript"]
	if p.StandardOutput != p.StandardError || !strings.HasSuffix(p.StandardOutput, "\x00"+ssmrun.MarkStream) {
		t.Errorf("stdout of %d, stderr of %d bytes: not cut evenly with the mark", len(p.StandardOutput), len(p.StandardError))
	}
	if p.Output != before.Output || p.Code != 3 || got.DocumentTraceOutput != "kept" || got.DocumentStatus != StatusFailed {
		t.Error("something else was changed")
	}
	if diff := cmp.Diff(before, r.RuntimeStatus["runShellScript"]); diff != "" {
		t.Errorf("the reply given was changed (-before +after):\n%s", diff)
	}
}

func TestFitReplyCutsTheLongestOnly(t *testing.T) {
	t.Parallel()
	short := strings.Repeat("short\n", 1_000)
	got, err := FitReply(testJob, TopicSendCommand, oneStep(strings.Repeat("\x01", 24_000), short))
	if err != nil {
		t.Fatal(err)
	}
	p := got.RuntimeStatus["runShellScript"]
	if p.StandardError != short {
		t.Errorf("the short stream was cut to %d bytes", len(p.StandardError))
	}
	if !strings.HasSuffix(p.StandardOutput, "\x01"+ssmrun.MarkStream) {
		t.Error("the long stream has no mark")
	}
}

func TestFitReplyCutsTheTrace(t *testing.T) {
	t.Parallel()
	r := oneStep("out", "err")
	r.DocumentTraceOutput = strings.Repeat("trace ", 30_000)
	got, err := FitReply(testJob, TopicSendCommand, r)
	if err != nil {
		t.Fatal(err)
	}
	if size := packedSize(t, got); size > MaxReplyBytes || !strings.HasSuffix(got.DocumentTraceOutput, ssmrun.MarkStream) {
		t.Errorf("%d bytes, trace of %d", size, len(got.DocumentTraceOutput))
	}
}

// A stream that the agent cut already bears the mark; the next cut, wherever it
// falls, leaves one whole mark and no piece of the first.
func TestFitReplyDoesNotMarkTwice(t *testing.T) {
	t.Parallel()
	cuts := 0
	for n := 7_200; n < 7_320; n++ {
		cut := strings.Repeat("\x00", n) + ssmrun.MarkStream
		got, err := FitReply(testJob, TopicSendCommand, oneStep(cut, cut))
		if err != nil {
			t.Fatal(err)
		}
		p := got.RuntimeStatus["runShellScript"]
		for _, s := range []string{p.StandardOutput, p.StandardError} {
			head, marked := strings.CutSuffix(s, ssmrun.MarkStream)
			if !marked || strings.Trim(head, "\x00") != "" {
				t.Fatalf("%d NULs: ends in %q", n, s[len(s)-60:])
			}
			if s != cut {
				cuts++
			}
		}
	}
	if cuts == 0 || cuts == 240 {
		t.Errorf("%d of 240 cut: the border of the limit was not crossed", cuts)
	}
}

func TestFitReplyThatCannotFit(t *testing.T) {
	t.Parallel()
	r := oneStep("x", "y")
	for i := range 1_000 {
		r.RuntimeStatus[fmt.Sprintf("step%d", i)] = PluginStatus{Name: "aws:runShellScript", StandardOutput: "x"}
	}
	if _, err := FitReply(testJob, TopicSendCommand, r); !errors.Is(err, ErrReplyTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := NewAgentJobReply(testJob, TopicSendCommand, r); !errors.Is(err, ErrReplyTooLarge) {
		t.Errorf("got %v", err)
	}
}

// Whatever outputs there are, the reply fits, keeps heads of what it was given,
// and nothing is cut that need not be.
func TestFitReplyProperty(t *testing.T) {
	t.Parallel()
	units := []string{"x", "\x00", "\n", `"`, `\`, "é", "\u2028", "\xff", "😀", "<", "ab\tc"}
	rapid.Check(t, func(rt *rapid.T) {
		output := func(name string) string {
			return strings.Repeat(rapid.SampledFrom(units).Draw(rt, name), rapid.IntRange(0, 24_000).Draw(rt, name+" length"))
		}
		r := Reply{DocumentStatus: StatusSuccess, RuntimeStatus: map[string]PluginStatus{}}
		for i := range rapid.IntRange(0, 6).Draw(rt, "steps") {
			r.RuntimeStatus[fmt.Sprint("step", i)] = PluginStatus{
				Name: "aws:runShellScript", Status: StatusSuccess,
				Output: output("output"), StandardOutput: output("stdout"), StandardError: output("stderr"),
			}
		}
		before := Reply{DocumentStatus: r.DocumentStatus, RuntimeStatus: maps.Clone(r.RuntimeStatus)}
		packed, err := NewAgentJobReply(testJob, TopicSendCommand, r)
		if err != nil {
			rt.Fatal(err)
		}
		b, err := Marshal(packed)
		if err != nil {
			rt.Fatal(err)
		}
		if len(b) > MaxReplyBytes {
			rt.Fatalf("%d bytes", len(b))
		}
		if !cmp.Equal(before, r) {
			rt.Fatal("the reply given was changed")
		}
		var got Reply
		if err := Unmarshal([]byte(packed.Content), &got); err != nil {
			rt.Fatal(err)
		}
		cuts := 0
		for name, p := range r.RuntimeStatus {
			q := got.RuntimeStatus[name]
			for _, pair := range [][2]string{{p.Output, q.Output}, {p.StandardOutput, q.StandardOutput}, {p.StandardError, q.StandardError}} {
				full := strings.ReplaceAll(pair[0], "\xff", "\uFFFD")
				if pair[1] == full {
					continue
				}
				cuts++
				head, marked := strings.CutSuffix(pair[1], ssmrun.MarkStream)
				if !marked || !strings.HasPrefix(full, head) {
					rt.Fatalf("cut to %d bytes without a mark or not to its head", len(pair[1]))
				}
			}
		}
		fitted := packedSize(t, r) <= MaxReplyBytes
		if fitted != (cuts == 0) {
			rt.Fatalf("fits uncut: %v, but %d outputs cut", fitted, cuts)
		}
		// Up to one character and a share of rounding per output that was cut.
		if slack := MaxReplyBytes - len(b); cuts > 0 && slack > cuts*8+len(r.RuntimeStatus)*3 {
			rt.Fatalf("%d bytes unused with %d cuts", slack, cuts)
		}
	})
}
