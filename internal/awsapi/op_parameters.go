package awsapi

import (
	"context"

	"ssmrun"
	"ssmrun/internal/parameters"
)

// parameter is a stored parameter with its value.
type parameter struct {
	Name             string
	Type             string
	Value            string
	Version          int64
	Selector         string `json:",omitempty"`
	LastModifiedDate epoch
	ARN              string
	DataType         string
}

func parameterOf(p *parameters.Parameter) parameter {
	return parameter{
		Name: p.Name, Type: p.Type, Value: p.Value, Version: p.Version, Selector: p.Selector,
		LastModifiedDate: epoch(p.ModifiedAt), ARN: p.ARN, DataType: p.DataType,
	}
}

func parametersOf(list []parameters.Parameter) []parameter {
	out := make([]parameter, len(list))
	for i := range list {
		out[i] = parameterOf(&list[i])
	}
	return out
}

func (a *API) putParameter(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Name, Value, Type, Description, KeyID, AllowedPattern, Tier, DataType, Policies string

		Overwrite bool
		Tags      []struct{ Key, Value string }
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Parameters: []string{in.Name}}
	put := parameters.PutRequest{
		Name: in.Name, Value: in.Value, Type: in.Type, Description: in.Description, KeyID: in.KeyID,
		AllowedPattern: in.AllowedPattern, Tier: in.Tier, DataType: in.DataType, Policies: in.Policies,
		Overwrite: in.Overwrite, Caller: c.Caller.ARN,
	}
	if len(in.Tags) > 0 {
		put.Tags = make(map[string]string, len(in.Tags))
		for _, t := range in.Tags {
			put.Tags[t.Key] = t.Value
		}
	}
	version, tier, err := a.cfg.Parameters.Put(ctx, c.Scope, put)
	if err != nil {
		return nil, err
	}
	return struct {
		Version int64
		Tier    string
	}{version, tier}, nil
}

func (a *API) getParameter(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Name           string
		WithDecryption bool
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	if err := c.reads(in.WithDecryption, in.Name); err != nil {
		return nil, err
	}
	p, err := a.cfg.Parameters.Get(ctx, c.Scope, in.Name, in.WithDecryption)
	if err != nil {
		return nil, err
	}
	return struct{ Parameter parameter }{parameterOf(p)}, nil
}

// reads notes which parameters a call reads, and refuses what it may not.
func (c *Call) reads(decrypt bool, names ...string) error {
	c.Subject = Subject{Parameters: names}
	if c.MayRead == nil {
		return nil
	}
	return c.MayRead(names, decrypt)
}

func (a *API) getParameters(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Names          []string
		WithDecryption bool
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	if err := c.reads(in.WithDecryption, in.Names...); err != nil {
		return nil, err
	}
	found, invalid, err := a.cfg.Parameters.GetMany(ctx, c.Scope, in.Names, in.WithDecryption)
	if err != nil {
		return nil, err
	}
	return struct {
		Parameters        []parameter
		InvalidParameters []string
	}{parametersOf(found), invalid}, nil
}

func (a *API) deleteParameter(ctx context.Context, c *Call) (any, error) {
	var in struct{ Name string }
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Parameters: []string{in.Name}}
	_, invalid, err := a.cfg.Parameters.Delete(ctx, c.Scope, []string{in.Name})
	if err == nil && len(invalid) > 0 {
		err = ssmrun.Errorf(parameters.CodeNotFound, "Parameter %s not found.", in.Name)
	}
	if err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

func (a *API) deleteParameters(ctx context.Context, c *Call) (any, error) {
	var in struct{ Names []string }
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Parameters: in.Names}
	deleted, invalid, err := a.cfg.Parameters.Delete(ctx, c.Scope, in.Names)
	if err != nil {
		return nil, err
	}
	return struct{ DeletedParameters, InvalidParameters []string }{deleted, invalid}, nil
}
