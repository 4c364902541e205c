package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestPanicEndsOneChannel: no net/http stands behind a channel any more.
func TestPanicEndsOneChannel(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	ch := &channel{log: slog.New(slog.NewTextHandler(&log, nil))}
	err := ch.guarded(t.Context(), func(context.Context) error { panic("oh") })
	if !errors.Is(err, errInside) || !strings.Contains(log.String(), "panic=oh") || !strings.Contains(log.String(), "TestPanicEndsOneChannel") {
		t.Errorf("%v: %s", err, &log)
	}
}
