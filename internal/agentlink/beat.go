package agentlink

import (
	"context"
	"fmt"
	"time"

	"ssmrun/internal/wire"
)

// retryBeat is the longest pause after a heartbeat that failed.
const retryBeat = 30 * time.Second

// beats remembers the heartbeats.
type beats struct {
	next time.Time // zero: at once
	told string    // the channel that the last one named
	ok   bool      // the last one was taken
}

// beatDue is how long there is until the next heartbeat; none is left where the
// last one named a channel by which jobs do not come any more.
func (l *Link) beatDue() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.beats.next.IsZero() || l.beats.told == ServiceLongPoll && l.open.channel {
		return 0
	}
	return time.Until(l.beats.next)
}

// beaten tells whether the last heartbeat was taken.
func (l *Link) beaten() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.beats.ok
}

// beat tells the service that the instance lives, what it is, and by which
// channel jobs reach it: the one that is open, else coming, which is about to be;
// "" for none. One beat at a time: the last one tells how it is.
func (l *Link) beat(ctx context.Context, coming string) error {
	l.beating.Lock()
	defer l.beating.Unlock()
	channel := l.Status().Channel
	if channel == "" {
		channel = coming
	}
	info := l.cfg.Info()
	in := &wire.UpdateInstanceInformationRequest{
		InstanceID: l.cfg.Identity.InstanceID, AgentName: info.AgentName, AgentVersion: info.AgentVersion,
		AgentStatus: wire.AgentStatusActive, ComputerName: info.ComputerName, IPAddress: info.IPAddress,
		PlatformType: info.PlatformType, PlatformName: info.PlatformName, PlatformVersion: info.PlatformVersion,
		SSMConnectionChannel: channel,
	}
	err := l.keys.signed(ctx, ServiceSSM, func(s signer) error {
		return l.caller.call(ctx, wire.OpUpdateInstanceInformation, in, nil, s)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.beats = beats{next: time.Now().Add(min(l.cfg.Timing.Heartbeat, retryBeat))}
		return fmt.Errorf("heartbeat: %w", err)
	}
	l.beats = beats{next: time.Now().Add(l.cfg.Timing.Heartbeat), told: channel, ok: true}
	l.status.Heartbeat = l.cfg.Now()
	return nil
}
