package awsapi

import (
	"context"

	"ssmrun"
	"ssmrun/internal/parameters"
)

func (a *API) getParametersByPath(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Path             string
		Recursive        bool
		ParameterFilters []parameters.Filter
		WithDecryption   bool
		MaxResults       int
		NextToken        string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Parameters: []string{in.Path}}
	limit := in.MaxResults
	if limit == 0 {
		limit = 10
	}
	page, err := a.page(c, limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	list, next, err := a.cfg.Parameters.ByPath(ctx, c.Scope, in.Path, in.Recursive, in.ParameterFilters, in.WithDecryption, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Parameters []parameter
		NextToken  string `json:",omitempty"`
	}{parametersOf(list), a.next(c, next)}, nil
}

func (a *API) describeParameters(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Filters          []parameters.Filter // without options
		ParameterFilters []parameters.Filter
		MaxResults       int
		NextToken        string
		Shared           bool
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	if len(in.Filters) > 0 && len(in.ParameterFilters) > 0 {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "You can use either Filters or ParameterFilters in a single request.")
	}
	filters := in.ParameterFilters
	for _, f := range in.Filters {
		if f.Key == "Name" {
			f.Option = "BeginsWith"
		}
		filters = append(filters, f)
	}
	limit := in.MaxResults
	if limit == 0 {
		limit = 50
	}
	page, err := a.page(c, limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	list, next, err := a.cfg.Parameters.Describe(ctx, c.Scope, filters, page)
	if err != nil {
		return nil, err
	}
	type metadata struct {
		Name             string
		ARN              string
		Type             string
		KeyId            string `json:",omitempty"`
		LastModifiedDate epoch
		LastModifiedUser string
		Description      string `json:",omitempty"`
		AllowedPattern   string `json:",omitempty"`
		Version          int64
		Tier             string
		Policies         []struct{}
		DataType         string
	}
	var out struct {
		Parameters []metadata
		NextToken  string `json:",omitempty"`
	}
	out.Parameters = []metadata{}
	if in.Shared {
		return out, nil // those that other accounts share: none can
	}
	for _, p := range list {
		out.Parameters = append(out.Parameters, metadata{
			Name: p.Name, ARN: p.ARN, Type: p.Type, KeyId: p.KeyID, LastModifiedDate: epoch(p.ModifiedAt),
			LastModifiedUser: p.ModifiedBy, Description: p.Description, AllowedPattern: p.AllowedPattern,
			Version: p.Version, Tier: p.Tier, Policies: []struct{}{}, DataType: p.DataType,
		})
	}
	out.NextToken = a.next(c, next)
	return out, nil
}
