package awsapi

import (
	"context"
	"errors"

	"ssmrun"
	"ssmrun/internal/store"
)

// getConnectionStatus tells whether an agent's channel is open. Of what is not
// there nothing is connected, as AWS answers it.
func (a *API) getConnectionStatus(ctx context.Context, c *Call) (any, error) {
	var in struct{ Target string }
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject.Instances = []string{in.Target}
	out := struct{ Target, Status string }{in.Target, "notconnected"}
	err := a.cfg.Store.View(ctx, func(tx store.Tx) error {
		_, err := tx.Instance(c.Scope, in.Target)
		return err
	})
	switch {
	case errors.Is(err, ssmrun.ErrNotFound):
		return out, nil
	case err != nil:
		return nil, err
	}
	if a.cfg.Control.HasChannel(in.Target) {
		out.Status = "connected"
	}
	return out, nil
}
