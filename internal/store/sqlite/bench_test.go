package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

var scope = ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}

func open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// command is the n-th command with its invocation and plugin on one instance,
// as big as the usual.
func command(n int) (*ssmrun.Command, []ssmrun.Invocation, []ssmrun.Plugin) {
	id := fmt.Sprintf("%08x-1111-4111-8111-%012x", uint32(n)*2654435761, n)
	instance := fmt.Sprintf("i-%017x", n%100)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
	c := &ssmrun.Command{
		ID: id, Scope: scope, Caller: "arn:aws:iam::000000000000:user/ssmrun", Document: "AWS-RunShellScript", Version: "$DEFAULT",
		Content: strings.Repeat("{}", 1000), Parameters: map[string][]string{"commands": {"uptime", "df -h"}},
		InstanceIDs: []string{instance}, RequestedAt: at, ExpiresAfter: at.Add(2 * time.Hour), TimeoutSeconds: 3600,
		MaxConcurrency: "50", MaxErrors: "0", State: ssmrun.NewState, Counts: ssmrun.Counts{Target: 1},
	}
	i := ssmrun.Invocation{
		CommandID: id, InstanceID: instance, Scope: scope, InstanceName: "host", RequestedAt: at,
		State: ssmrun.NewState, DeliverBy: at.Add(time.Hour), FinishBy: at.Add(2 * time.Hour), Next: at.Add(time.Hour),
	}
	p := ssmrun.Plugin{
		CommandID: id, InstanceID: instance, Name: "aws:runShellScript", Action: "aws:runShellScript",
		State: ssmrun.NewState, ExitCode: -1,
	}
	return c, []ssmrun.Invocation{i}, []ssmrun.Plugin{p}
}

// BenchmarkUpdate is the end of an invocation: one Update of a command, its
// invocation and its plugin with 1 KiB of output, on commands that are there.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "store.db"))
			const commands = 1000
			fill(b, db, commands)
			stdout := strings.Repeat("0123456789abcde\n", 64)
			spread(b, writers, func(n int) error {
				return db.Update(context.Background(), func(tx store.Tx) error {
					c, i, p := command(n % commands)
					c.Counts.Completed, c.State = 1, ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}
					i[0].State, p[0].State, p[0].Stdout = c.State, c.State, stdout
					i[0].Next = time.Time{}
					if err := tx.PutPlugin(scope, &p[0]); err != nil {
						return err
					}
					if err := tx.UpdateInvocation(&i[0]); err != nil {
						return err
					}
					return tx.UpdateCommand(c)
				})
			})
		})
	}
}

// BenchmarkInsert is SendCommand's write: a command, an invocation, a plugin.
func BenchmarkInsert(b *testing.B) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "store.db"))
			spread(b, writers, func(n int) error {
				return db.Update(context.Background(), func(tx store.Tx) error {
					c, i, _ := command(n)
					return tx.InsertCommand(c, "", i)
				})
			})
		})
	}
}

// BenchmarkView reads a command and its invocations, one reader.
func BenchmarkView(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "store.db"))
	fill(b, db, 1000)
	spread(b, 1, func(n int) error {
		return db.View(context.Background(), func(tx store.Tx) error {
			c, _, _ := command(n % 1000)
			if _, err := tx.Command(scope, c.ID); err != nil {
				return err
			}
			_, err := tx.InvocationsAfter(scope, c.ID, "", 100)
			return err
		})
	})
}

// fill inserts commands 0 to n-1.
func fill(b *testing.B, db *sqlite.DB, n int) {
	b.Helper()
	err := db.Update(context.Background(), func(tx store.Tx) error {
		for n := range n {
			c, i, _ := command(n)
			if err := tx.InsertCommand(c, "", i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// spread runs b.N calls of do on so many goroutines.
func spread(b *testing.B, goroutines int, do func(n int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range goroutines {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= b.N {
					return
				}
				if err := do(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkBatch is how control takes the results of a command on many
// instances: per invocation one read and the writes of its end, 256 of them in
// one Update, and the command once.
func BenchmarkBatch(b *testing.B) {
	const instances, batch = 20_000, 256
	db := open(b, filepath.Join(b.TempDir(), "store.db"))
	c, one, p := command(1)
	c.InstanceIDs, c.Counts.Target = nil, instances
	list := make([]ssmrun.Invocation, instances)
	for n := range list {
		list[n] = one[0]
		list[n].InstanceID = fmt.Sprintf("i-%017x", n*2654435761%(1<<40))
	}
	begun := time.Now()
	if err := db.Update(b.Context(), func(tx store.Tx) error { return tx.InsertCommand(c, "", list) }); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(begun).Microseconds())/instances, "insert-µs")
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			for range batch {
				i, err := tx.Invocation(scope, c.ID, list[n%instances].InstanceID)
				if err != nil {
					return err
				}
				i.State, i.Next, i.Begun = ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}, time.Time{}, c.RequestedAt
				p[0].InstanceID, p[0].Stdout = i.InstanceID, "ok\n"
				if err := errors.Join(tx.UpdateInvocation(i), tx.PutPlugin(scope, &p[0])); err != nil {
					return err
				}
				n++
			}
			return tx.UpdateCommand(c)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
