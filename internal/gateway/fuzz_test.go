package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
	"ssmrun/internal/wire"
)

// FuzzChannel has an agent send any message over its channel while a command is
// out: nothing crashes, every reply that can be read is acknowledged, the window
// is free after it, and the command does not end unless its own job was named.
func FuzzChannel(f *testing.F) {
	const instance = "i-0123456789abcdef0"
	scope := ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}
	db, err := sqlite.Open(f.Context(), filepath.Join(f.TempDir(), "test.db"), sqlite.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	id, err := identity.Open(identity.Config{Dir: f.TempDir(), Account: scope.Account, Store: db})
	if err != nil {
		f.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c := control.New(control.Config{Store: db, Logger: log})
	g := New(Config{Control: c, Identity: id, Store: db, Logger: log})
	c.Attach(g)
	if err := db.Update(f.Context(), func(tx store.Tx) error {
		return tx.PutInstance(&ssmrun.Instance{ID: instance, Scope: scope, Name: "host"})
	}); err != nil {
		f.Fatal(err)
	}
	ch := &channel{g: g, instance: instance, scope: scope, log: log, cancel: func(error) {}, wake: make(chan struct{}, 1)}
	if !g.addChannel(ch, true) {
		f.Fatal("no channel")
	}
	cmd, err := c.Send(f.Context(), control.SendRequest{
		Command: ssmrun.Command{
			Scope: scope, Document: "AWS-RunShellScript", Version: "$DEFAULT", Content: `{"schemaVersion":"2.2"}`, InstanceIDs: []string{instance},
			Steps: []ssmrun.Step{{Name: "a", Action: "aws:runShellScript"}}, TimeoutSeconds: 3600, MaxConcurrency: "50", MaxErrors: "0",
		},
		ExecutionTime: time.Hour,
	})
	if err != nil {
		f.Fatal(err)
	}
	own := wire.JobID(cmd.ID, instance)
	types := []string{wire.TypeAgentJobAck, wire.TypeAgentJobReply, wire.TypeAgentJobReplyAck, wire.TypeInteractiveShell, ""}
	for n := range types {
		for _, payload := range []string{
			"", "{}", "[]", "null", `{"jobId":3}`, `{"jobId":"j","statusCode":"200"}`, `{"jobId":"aws.ssm.c.` + instance + `","statusCode":"51402"}`,
			`{"jobId":"aws.ssm.c.` + instance + `","topic":"aws.ssm.cancelCommand","content":"{}"}`,
			`{"jobId":"aws.ssm.c.` + instance + `","content":"{\"documentStatus\":\"Success\",\"runtimeStatus\":{\"a\":{\"status\":\"Failed\",\"code\":1}}}"}`,
			`{"jobId":"aws.ssm.c.i-1123456789abcdef0","content":"{\"documentStatus\":\"Failed\"}"}`,
		} {
			f.Add(uint8(n), []byte(payload))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, payload []byte) {
		if bytes.Contains(payload, []byte(cmd.ID)) {
			t.Skip() // own could be meant, in whatever spelling
		}
		ctx := t.Context()
		frame := wire.Frame{Type: types[int(n)%len(types)], Payload: payload}
		var reply wire.AgentJobReply
		readable := frame.Type == wire.TypeAgentJobReply && wire.Unmarshal(payload, &reply) == nil
		if err := ch.handle(ctx, frame); err != nil && !errors.Is(err, wire.ErrPayload) {
			t.Fatalf("%s %q: %v", frame.Type, payload, err)
		}
		c.Settled()
		acks := 0
		ch.mu.Lock()
		queue := ch.queue
		ch.queue = nil
		ch.mu.Unlock()
		for _, o := range queue {
			acks++
			o.written()
		}
		if readable != (acks == 1) || acks > 1 {
			t.Errorf("%s %q: %d acknowledgements", frame.Type, payload, acks)
		}
		if ch.window.words != 0 || ch.window.bytes != 0 {
			t.Fatalf("%s %q: the window keeps %d words, %d bytes", frame.Type, payload, ch.window.words, ch.window.bytes)
		}
		err := db.View(ctx, func(tx store.Tx) error {
			i, err := tx.Invocation(scope, cmd.ID, instance)
			if err == nil && i.State.Status != ssmrun.InProgress {
				err = fmt.Errorf("%s is %s", own, i.State)
			}
			return err
		})
		if err != nil {
			t.Fatalf("%s %q: %v", frame.Type, payload, err)
		}
	})
}
