package awsapi

import (
	"context"

	"ssmrun"
)

func (a *API) cancelCommand(ctx context.Context, c *Call) (any, error) {
	var in struct {
		CommandId   string
		InstanceIds []string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{CommandID: in.CommandId, Instances: in.InstanceIds}
	seen := map[string]bool{}
	for _, id := range in.InstanceIds {
		if seen[id] {
			return nil, ssmrun.Errorf(ssmrun.CodeDuplicateInstanceID, "Instance id %s is named more than once.", id)
		}
		seen[id] = true
	}
	if err := a.cfg.Control.Cancel(ctx, c.Scope, in.CommandId, in.InstanceIds); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}
