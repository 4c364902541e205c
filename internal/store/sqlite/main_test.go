package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

// Some tests need a second process: the test binary started again, with one of
// the jobs named in this variable, and the store's path in the other.
const (
	jobVariable  = "SSMRUN_TEST_JOB"
	pathVariable = "SSMRUN_TEST_PATH"
)

func TestMain(m *testing.M) {
	jobs := map[string]func(path string) error{"write": writeJob, "open": openJob}
	job, ok := jobs[os.Getenv(jobVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := job(os.Getenv(pathVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startJob is a process that does a job; the caller starts it.
func startJob(t *testing.T, job, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), jobVariable+"="+job, pathVariable+"="+path)
	return cmd
}

// openJob opens the store.
func openJob(path string) error {
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	return db.Close()
}

// writeJob inserts commands from several goroutines for ever and prints the
// number of each once its Update has returned. It starts where the numbers on
// disk end.
func writeJob(path string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	base := 0
	err = db.View(ctx, func(tx store.Tx) error {
		list, _, err := tx.ListCommands(scope, store.CommandQuery{}, store.Page{Limit: 100_000})
		base = 1000 * (len(list) + 1)
		return err
	})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for g := range 8 {
		wg.Go(func() {
			for n := base + g; ; n += 8 {
				if err := db.Update(ctx, func(tx store.Tx) error {
					c, i, p := command(n)
					if err := tx.InsertCommand(c, "", i); err != nil {
						return err
					}
					return tx.PutPlugin(scope, &p[0])
				}); err != nil {
					errs <- err
					return
				}
				// One write of a whole line: what was printed is printed whole.
				if _, err := fmt.Println(n); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	return <-errs
}
