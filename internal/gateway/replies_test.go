package gateway

import (
	"log/slog"
	"testing"

	"ssmrun"
)

// FuzzReadReply reads any reply: what is taken has an event that control knows,
// and a step that has ended did not end before it began.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{
		"", "{}", "[]", "null", `{"documentStatus":"Success"}`, `{"documentStatus":"x","runtimeStatus":null,"additionalInfo":{"ableToOpenMGSConnection":true}}`,
		`{"documentStatus":"Failed","documentTraceOutput":"t","runtimeStatus":{"a":{"status":"Failed","code":-1,"output":"o","startDateTime":"2026-11-22T18:17:00Z","endDateTime":"2026-11-22T18:16:00Z"}}}`,
		`{"documentStatus":"Cancelled","runtimeStatus":{"":{"status":"Skipped","outputS3BucketName":"b","outputS3KeyPrefix":"p/","stepName":"s"}}}`,
	} {
		f.Add(s)
	}
	log := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, payload string) {
		r, ok := readReply(log, "c", "i", payload)
		if !ok {
			return
		}
		known := map[ssmrun.Event]bool{
			ssmrun.EventBegan: true, ssmrun.EventSucceeded: true, ssmrun.EventFailed: true, ssmrun.EventSkipped: true,
			ssmrun.EventExecutionTimedOut: true, ssmrun.EventCancelled: true,
		}
		if !known[r.Event] || r.Event == ssmrun.EventSkipped {
			t.Fatalf("%q: event %v", payload, r.Event)
		}
		for _, p := range r.Plugins {
			if !known[p.Event] || !p.Finished.IsZero() && p.Finished.Before(p.Started) {
				t.Fatalf("%q: plugin %+v", payload, p)
			}
		}
	})
}
