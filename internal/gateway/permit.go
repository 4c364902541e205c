package gateway

import (
	"context"
	"net/http"

	"ssmrun"
	"ssmrun/internal/identity"
)

// permit tells whether an agent's role lets it make a call ("ssmmessages:
// CreateControlChannel"), by the role as it is now: ssmrun.CodeAccessDenied with
// the reason where it does not. A caller needs no role. What is open already goes
// on; the calls by which agents say that they are there, and ask for work, are
// asked here each time.
func (g *Gateway) permit(ctx context.Context, p identity.Principal, action string) error {
	if !p.Agent() {
		return nil
	}
	err := g.cfg.Identity.MayRun(ctx, p, action)
	if ssmrun.ErrorCode(err) == ssmrun.CodeAccessDenied {
		g.cfg.Logger.Debug("an agent is denied", "instance", p.InstanceID, "error", err)
	}
	return err
}

// refuseError answers a call about a channel with an error: XML, as agents
// expect it there.
func (g *Gateway) refuseError(w http.ResponseWriter, err error) {
	code, status := ssmrun.ErrorCode(err), http.StatusBadRequest
	switch code {
	case ssmrun.CodeAccessDenied:
		status = http.StatusForbidden
	case ssmrun.CodeInternal:
		status = http.StatusInternalServerError
	case ssmrun.CodeUnavailable:
		status = http.StatusServiceUnavailable
	}
	g.refuse(w, status, string(code), ssmrun.ErrorMessage(err))
}
