package bench

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"ssmrun"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

// The history that fill writes: commands of one invocation each, that are over,
// evenly over historyLife up to now, on historyInstances in turns.
const (
	historyLife      = 30 * 24 * time.Hour
	historyInstances = 1000
)

// historyOf says what the n-th command was: every hundredth failed, every ten
// thousandth timed out; every tenth ran another document, every ten thousandth a
// rare one.
func historyOf(n int) (s ssmrun.State, document string) {
	s, document = ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}, "AWS-RunShellScript"
	switch {
	case n%10000 == 7:
		s = ssmrun.State{Status: ssmrun.TimedOut, Details: ssmrun.DetailsExecutionTimedOut}
	case n%100 == 3:
		s = ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsFailed}
	}
	switch {
	case n%10000 == 5:
		document = "AWS-ConfigureDocker"
	case n%10 == 4:
		document = "AWS-RunPowerShellScript"
	}
	return s, document
}

func historyInstance(n int) string { return fmt.Sprintf("mi-%017x", n%historyInstances) }

// fill writes a history into a data folder that no service has open, through the
// store: through the API it would take an hour. It gives how big the database is
// afterwards.
func fill(t *testing.T, data string, commands int) (bytes int) {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(data, "ssmrun.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// Some Updates wait while one is written: they are committed together.
	const each, writers = 1000, 3
	parts := make(chan int)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for from := range parts {
				err := db.Update(t.Context(), func(tx store.Tx) error {
					for place := from; place < min(from+each, commands); place++ {
						if err := insert(tx, place, commands); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Errorf("fill the history: %v", err)
				}
			}
		})
	}
	for from := 0; from < commands && !t.Failed(); from += each {
		parts <- from
	}
	close(parts)
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	return diskUse(t, data)
}

// stride is a prime: multiples of it, modulo any number of commands that is not
// one of them, are all numbers once.
const stride = 611_953

// insert adds a command. Commands come in the order of their ids, because a
// database that is filled in random order writes its pages again and again; their
// times are mixed, as those of random ids are.
func insert(tx store.Tx, place, all int) error {
	n := place * stride % all
	scope := ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}
	at := time.Now().Add(-historyLife / time.Duration(all) * time.Duration(all-n)).UTC().Truncate(time.Millisecond)
	id, instance := commandID(place, all), historyInstance(n)
	state, document := historyOf(n)
	c := &ssmrun.Command{
		ID: id, Scope: scope, Caller: "arn:aws:iam::000000000000:user/ssmrun", Document: document, Version: "$DEFAULT",
		Content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"run","inputs":{"runCommand":["true"]}}]}`,
		Comment: rand.Text(), Parameters: map[string][]string{"commands": {"systemctl restart nginx", "systemctl status nginx"}},
		InstanceIDs: []string{instance}, RequestedAt: at, ExpiresAfter: at.Add(2 * time.Hour), TimeoutSeconds: 3600,
		MaxConcurrency: "50", MaxErrors: "0", State: state, Counts: ssmrun.Counts{Target: 1, Completed: 1, Succeeded: 1, Begun: 1}, Revision: 3,
		Output: ssmrun.OutputLocation{Region: scope.Region},
	}
	code := 0
	if state.Status != ssmrun.Success {
		c.Counts.Errors, c.Counts.Succeeded, code = 1, 0, 1
	}
	i := ssmrun.Invocation{
		CommandID: id, InstanceID: instance, Scope: scope, InstanceName: "host.example", RequestedAt: at, State: state,
		Handed: at, Begun: at, DeliverBy: at.Add(time.Hour), FinishBy: at.Add(2 * time.Hour),
	}
	p := ssmrun.Plugin{
		CommandID: id, InstanceID: instance, Name: "aws:runShellScript", Action: "aws:runShellScript", State: state,
		ExitCode: code, Started: at, Finished: at.Add(time.Second), Stdout: "nginx.service - active (running)\n",
	}
	return tx.InsertCommand(c, id, []ssmrun.Invocation{i}, []ssmrun.Plugin{p})
}

// commandID is a random UUID, as far as it goes: those of later places are
// greater.
func commandID(place, all int) string {
	id := uuid.New()
	version := id[6]
	binary.BigEndian.PutUint64(id[:8], math.MaxUint64/uint64(all)*uint64(place))
	id[6] = version
	return id.String()
}
