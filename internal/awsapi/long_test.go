package awsapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
)

// TestLongInputs makes every list of the seeds as long as a body can hold, and
// every text: an operation refuses them or answers, and takes no more than a
// moment for it.
func TestLongInputs(t *testing.T) {
	t.Parallel()
	a, db := newAPI(t)
	put(t, db, ssmrun.Instance{ID: "i-01234567", Scope: home, PlatformType: "Linux", LastPing: now})
	for _, op := range a.Operations() {
		for _, seed := range callSeeds[op] {
			for name, body := range lengthened(t, seed) {
				began := time.Now()
				out, err := a.SSM(t.Context(), &Call{
					Operation: op, Scope: home, Body: []byte(body), Header: http.Header{}, Answer: http.Header{},
					Caller: identity.Principal{ARN: "arn:aws:iam::000000000000:user/ann", Account: home.Account},
				})
				if Internal(err) {
					t.Errorf("%s with a long %s: %v", op, name, err)
				}
				if err == nil {
					answer, err := json.Marshal(out)
					if err != nil {
						t.Fatal(err)
					}
					CheckAnswer(t, op, answer)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Logf("%s with a long %s takes %s", op, name, took) // no failure: machines differ
				}
			}
		}
	}
}

// lengthened gives a body once for each of its lists and texts, with that one
// made long.
func lengthened(t *testing.T, body string) map[string]string {
	t.Helper()
	out := map[string]string{}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	write := func(path string) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = string(b)
	}
	var walk func(v any, path string, put func(any))
	walk = func(v any, path string, put func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(x, path+"."+k, func(n any) { v[k] = n })
			}
		case []any:
			for i, x := range v {
				walk(x, fmt.Sprintf("%s[%d]", path, i), func(n any) { v[i] = n })
			}
			if len(v) == 0 {
				return
			}
			long := make([]any, 20_000)
			if _, object := v[0].(map[string]any); object {
				long = long[:5_000]
			}
			for i := range long {
				long[i] = v[0]
				if s, isText := v[0].(string); isText && i > 0 {
					long[i] = fmt.Sprint(s, i)
				}
			}
			put(long)
			write(path)
			put(v)
		case string:
			put(v + strings.Repeat("a", 300_000))
			write(path + " text")
			put(v)
		}
	}
	walk(v, "", func(any) {})
	return out
}
