package agent

import (
	"ssmrun/internal/agent/systemd"
)

// ready tells the service manager, once, that the agent does its work: it has
// its folder, its policy and its registration, and what an earlier agent left is
// ended. It does not wait for the channel: an agent whose service is away does
// what it can, and starting it anew would not help. The same goes for a host that
// cannot register because the service is away; where the service refuses to
// register it, the agent ends before it is ready, and the start has failed.
func (a *Agent) ready() {
	a.readyOnce.Do(func() { a.status.tell(a.cfg.Notify.Ready()) })
}

// stops tells that the agent ends.
func (a *Agent) stops() { a.status.tell(a.cfg.Notify.Stopping()) }

// Reload reads the policy anew. What cannot be used is logged, and forbids every
// command until it is mended.
func (a *Agent) Reload() {
	a.status.tell(a.cfg.Notify.Reloading(systemd.Monotonic()))
	if a.policy != nil {
		// currentPolicy logs what has changed.
		if _, err := a.policy.Reload(); err == nil {
			a.log.Info("policy read anew", "policy", a.policy.Path())
		}
		_, _ = a.currentPolicy()
	}
	a.status.poke()
	a.status.tell(a.cfg.Notify.Ready())
}
