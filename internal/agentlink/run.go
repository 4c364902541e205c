package agentlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"ssmrun/internal/wire"
)

var (
	// errStopped is what the end of a session is put down to when Run's context
	// ended.
	errStopped = errors.New("the agent stops")
	errSlow    = errors.New("the control channel takes long to open")
)

// channelError is that the control channel did not open, although the instance
// has keys that hold.
type channelError struct {
	err     error
	joining bool // the service had made the channel: it failed at the websocket
}

func (e *channelError) Error() string { return "open control channel: " + e.err.Error() }
func (e *channelError) Unwrap() error { return e.err }

// patience is after how many failures in a row messages are polled for, whatever
// is wrong with the control channel.
const patience = 3

// Run keeps the control channel open until ctx ends, then closes it with a
// normal closure, which tells the service at once that the agent is gone. While
// the channel cannot be opened, messages are polled for. It is called once.
func (l *Link) Run(ctx context.Context) {
	defer close(l.done)
	defer l.poll.wait()
	t := l.cfg.Timing
	backoff := Backoff{Min: t.BackoffMin, Max: t.BackoffMax, Rand: l.rnd}
	said := sayer{log: l.cfg.Logger}
	for failures := 0; ctx.Err() == nil; {
		began := time.Now()
		opened, err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		// A channel that is closed as soon as it is open is no better than none.
		if opened && time.Since(began) > max(backoff.bound, t.BackoffMin) {
			backoff.Reset()
			failures = 0
		} else {
			failures++
		}
		if l.shallPoll(opened, failures, err) {
			l.poll.begin(ctx, err)
		}
		wait := l.pause(&backoff, err)
		said.failed(ctx, "the control channel", wait, err, opened)
		if n := l.out.dropped(); n > 0 {
			l.cfg.Logger.Warn("too much waited to be sent; the oldest progress reports and acknowledgements were dropped, no result", "dropped", n)
		}
		pause(ctx, nil, wait)
	}
}

// pause gives the pause after a failure. An instance that is denied comes back
// seldom: only a person can change that.
func (l *Link) pause(b *Backoff, err error) time.Duration {
	if !Denied(err) {
		return b.Next(err)
	}
	b.bound = max(b.bound, l.cfg.Timing.DeniedMax/10)
	return b.next(err, l.cfg.Timing.DeniedMax)
}

// shallPoll tells whether polling promises more than the control channel. It
// does not where the service itself is away or busy: it would get two calls
// where one is too many.
func (l *Link) shallPoll(opened bool, failures int, err error) bool {
	if opened {
		return failures >= patience
	}
	broken, ok := errors.AsType[*channelError](err)
	if !ok {
		return false
	}
	answer, answered := errors.AsType[*APIError](err)
	switch {
	case broken.joining:
		return true
	case answered:
		return !Busy(answer) || failures >= patience
	case !l.onePlace():
		return true
	}
	op, dialling := errors.AsType[*net.OpError](err)
	return !(dialling && op.Op == "dial") && failures >= patience
}

// onePlace tells whether the control channel and polls go to the same address.
func (l *Link) onePlace() bool {
	a, err1 := l.caller.where(ServiceMessages)
	b, err2 := l.caller.where(ServiceLongPoll)
	return err1 == nil && err2 == nil && a.Host == b.Host
}

// sayer logs failures that come again and again: each once, and what is still so
// after ten minutes once more.
type sayer struct {
	log    *slog.Logger
	text   string
	at     time.Time
	denied bool
}

func (s *sayer) failed(ctx context.Context, what string, wait time.Duration, err error, always bool) {
	level := slog.LevelDebug
	if always || err.Error() != s.text || time.Since(s.at) > 10*time.Minute {
		level, s.text, s.at = slog.LevelWarn, err.Error(), time.Now()
	}
	denied := Denied(err)
	if denied && !s.denied {
		err = fmt.Errorf("%w%s", err, remedy(err))
		level = slog.LevelError
	}
	s.denied = denied
	s.log.Log(ctx, level, "no connection to the service", "for", what, "retry_in", wait.Round(time.Millisecond), "error", err)
}

// remedy says what to do about an instance that the service denies. An agent of
// which keys are refused is not the service's any more, or never was this
// region's; one that is refused a call with its keys has a role that does not let
// it, and the service has said what that role lacks.
func remedy(err error) string {
	const anew = "stop the agent, remove registration.json from its state folder, and start it with a new activation"
	e, ok := errors.AsType[*APIError](err)
	switch {
	case ok && e.Code == "InvalidSignatureException" && strings.Contains(e.Message, "valid region"):
		return " (the host was registered for another region than the service has; to register it for the right one " + anew + " and --region)"
	case ok && e.Operation != wire.OpRequestManagedInstanceRoleToken && e.Code != "InvalidInstanceId":
		return " (its role does not let it work; the agent is back by itself once it does)"
	}
	why := ""
	if !ok || e.Code != "AccessDeniedException" || e.Message == "" {
		why = "it was deregistered, or its key is another; "
	}
	return " (" + why + "to register the host anew " + anew + ")"
}

// pause waits until d has passed, ctx ended or stop is closed.
func pause(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-stop:
	case <-t.C:
	}
}
