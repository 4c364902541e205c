package bench

import (
	"crypto/rand"
	"fmt"
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
					for n := from; n < min(from+each, commands); n++ {
						if err := insert(tx, n, commands); err != nil {
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

// insert adds the n-th of all commands, the oldest first.
func insert(tx store.Tx, n, all int) error {
	scope := ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}
	at := time.Now().Add(-historyLife / time.Duration(all) * time.Duration(all-n)).UTC().Truncate(time.Millisecond)
	id, instance := uuid.NewString(), historyInstance(n)
	state, document := historyOf(n)
	c := &ssmrun.Command{
		ID: id, Scope: scope, Caller: "arn:aws:iam::000000000000:user/ssmrun", Document: document, Version: "$DEFAULT",
		Content: `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"run","inputs":{"runCommand":["true"]}}]}`,
		Comment: rand.Text(), Parameters: map[string][]string{"commands": {"systemctl restart nginx", "systemctl status nginx"}},
		Steps:       []ssmrun.Step{{Name: "aws:runShellScript", Action: "aws:runShellScript"}},
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
	if err := tx.InsertCommand(c, uuid.NewString(), []ssmrun.Invocation{i}); err != nil {
		return err
	}
	return tx.PutPlugin(scope, &p)
}
