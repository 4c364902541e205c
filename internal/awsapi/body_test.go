package awsapi

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"ssmrun"
)

// hostile are bodies of the largest size that cost the most to read.
func hostile() map[string]string {
	fill := func(open, unit, end string) string {
		return open + strings.Repeat(unit, (ssmrun.MaxBodyBytes-len(open)-len(end))/len(unit)) + end
	}
	var keys strings.Builder
	for n := 0; keys.Len() < ssmrun.MaxBodyBytes-20; n++ {
		fmt.Fprintf(&keys, `"%x":1,`, n)
	}
	return map[string]string{
		"lists":     fill(`{"a":[`, `[],`, `0]}`),
		"objects":   fill(`{"a":[`, `{"a":1},`, `0]}`),
		"numbers":   fill(`{"a":[`, `1,`, `0]}`),
		"texts":     fill(`{"a":[`, `"",`, `0]}`),
		"keys":      "{" + keys.String() + `"":0}`,
		"one text":  fill(`{"a":"`, `<`, `"}`),
		"deep":      fill(``, `[`, ``),
		"tags":      fill(`{"Tags":[`, `{"Key":"a"},`, `{}]}`),
		"commands":  fill(`{"DocumentName":"d","Parameters":{"commands":[`, `"x",`, `""]}}`),
		"wrong ids": fill(`{"DocumentName":"d","InstanceIds":[`, `"x",`, `""]}`),
	}
}

// TestHostileBodies: what a body costs is bounded by its size, whatever is in
// it, and so is the answer.
func TestHostileBodies(t *testing.T) {
	var before, after runtime.MemStats
	for name, body := range hostile() {
		for _, op := range []string{"SendCommand", "AddTagsToResource"} {
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err := inputs()[op].check([]byte(body))
			runtime.ReadMemStats(&after)
			// Everything that was allocated, garbage included.
			if used := after.TotalAlloc - before.TotalAlloc; used > 40*ssmrun.MaxBodyBytes {
				t.Errorf("%s: %s costs %d MiB", op, name, used>>20)
			}
			if n := len(ssmrun.ErrorMessage(err)); n > 256<<10 {
				t.Errorf("%s: %s is answered with %d bytes", op, name, n)
			}
		}
	}
}

// TestManyFailures: all are counted, the first are told.
func TestManyFailures(t *testing.T) {
	t.Parallel()
	tags := strings.TrimSuffix(strings.Repeat(`{},`, 900), ",")
	_, err := inputs()["AddTagsToResource"].check([]byte(`{"ResourceType":"Document","ResourceId":"x","Tags":[` + tags + `]}`))
	text := ssmrun.ErrorMessage(err)
	if !strings.HasPrefix(text, "1800 validation errors detected: ") || strings.Count(text, "; ") != maxToldFailures-1 {
		t.Errorf("%.300s", text)
	}
	_, err = inputs()["SendCommand"].check([]byte(`{"DocumentName":"` + strings.Repeat("ü", 5000) + `"}`))
	if text := ssmrun.ErrorMessage(err); strings.Count(text, "ü") != 2000 || ssmrun.ErrorCode(err) != ssmrun.CodeValidation {
		t.Errorf("%d characters are echoed", strings.Count(text, "ü"))
	}
}

// TestBodyBounds: at each bound and one beyond it.
func TestBodyBounds(t *testing.T) {
	t.Parallel()
	list := func(n int, of string) string { return "[" + strings.TrimSuffix(strings.Repeat(of+",", n), ",") + "]" }
	for _, c := range []struct{ body, says string }{
		{list(maxBodyValues-1, `""`), ""},
		{list(maxBodyValues, `""`), "The body has more than 100000 values."},
		{list(maxBodyContainers-1, `{}`), ""},
		{list(maxBodyContainers, `[]`), "The body has more than 10000 lists and objects."},
		{strings.Repeat("[", maxBodyDepth+1) + strings.Repeat("]", maxBodyDepth+1), ""},
		{strings.Repeat("[", maxBodyDepth+2) + strings.Repeat("]", maxBodyDepth+2), "The body is nested more than 32 levels deep."},
	} {
		_, err := readBody([]byte(c.body))
		if ssmrun.ErrorMessage(err) != c.says || !json.Valid([]byte(c.body)) {
			t.Errorf("%.30s of %d: %v, want %q", c.body, len(c.body), err, c.says)
		}
	}
}

// BenchmarkReadBody measures what reading costs. B/op is all that was
// allocated; a tree that lives is less.
func BenchmarkReadBody(b *testing.B) {
	for name, body := range hostile() {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				_, _ = readBody([]byte(body))
			}
		})
	}
}
