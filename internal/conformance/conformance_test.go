// Package conformance plays recorded answers of AWS against the service: for
// each case it makes the circumstances that the case tells of, asks the same
// question over the wire, and compares code, text and shape of the answer.
// `make conformance` prints what it found. It stands beside the way of a run:
// nothing calls it, and what it asks is the real service with real agents.
//
//	cases_test.go      the file of cases
//	plan*_test.go      its words, and the answer itself, as circumstances to make
//	content_test.go    documents that are as told
//	world_test.go      the services on which circumstances are made
//	play_test.go       makes them, and asks
//	wire_test.go       one signed call
//	compare_test.go    the answer against the record
//	form_test.go       what is compared by its form
//	report_test.go     what is printed; the table of what cannot match
//
// No case is known by its id: another file of the same form is played as well,
// as far as its circumstances are told in words that are known.
package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"ssmrun/internal/testenv"
)

// envReport names a file that gets the report; `make` prints it.
const envReport = "SSMRUN_CONFORMANCE_REPORT"

// atATime is how many cases are played at once.
const atATime = 24

func TestMain(m *testing.M) {
	code := m.Run()
	testenv.Cleanup()
	os.Exit(code)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	list := readCatalog(t)
	page, err := os.ReadFile(filepath.Join(testenv.Root(t), "handbook", "fidelity.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows, problems := exceptions(string(page))
	plans := make([]*plan, len(list.cases))
	for i, one := range list.cases {
		plans[i] = makePlan(list, one)
	}
	w := build(t, plans)

	scratch := t.TempDir()
	diffs := map[string][]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	turns := make(chan struct{}, atATime)
	for i := range list.cases {
		// The last cases of a file are the longest, so they begin first.
		n := len(list.cases) - 1 - i
		one := list.cases[n]
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			d := w.play(t.Context(), one, plans[n], n, scratch)
			mu.Lock()
			defer mu.Unlock()
			diffs[one.ID] = d
		})
	}
	wg.Wait()

	problems = append(problems, judge(list, rows, diffs)...)
	text := report(list, rows, diffs, problems)
	if path := os.Getenv(envReport); path != "" {
		testenv.WriteFile(t, path, text, 0o600)
	} else {
		fmt.Print(text)
	}
	if len(problems) > 0 {
		t.Errorf("%d answers differ from those of AWS, or the table of what cannot match is wrong: see the report, or run make conformance", len(problems))
	}
}
