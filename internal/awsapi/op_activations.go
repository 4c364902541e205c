package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// metadataInstanceID is the key of RegistrationMetadata whose value is the id
// of the EC2 instance that an activation is for: this project's own addition,
// for hosts that Terraform or a caller knows by an i- id.
const metadataInstanceID = "ssmrun:instance-id"

// Limits of an activation, as AWS documents them.
const (
	maxActivationLife = 30 * 24 * time.Hour
	// clockAllowance lets a caller ask for 30 days by a clock that is ahead.
	clockAllowance = 5 * time.Minute
)

// roleSubject names a role in the audit log, whether it is there or not.
func roleSubject(named string) string {
	if ref, ok := identity.ParseRole(named); ok {
		return ref.Name
	}
	return clipped(named)
}

func (a *API) createActivation(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Description          string
		DefaultInstanceName  string
		IamRole              string
		RegistrationLimit    int
		ExpirationDate       *json.Number
		Tags                 []tagJSON
		RegistrationMetadata []struct{ Key, Value string }
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject.Role = roleSubject(in.IamRole)
	tags, err := tagsIn(in.Tags, ssmrun.CodeInvalidParameters)
	if err != nil {
		return nil, err
	}
	if len(tags) > maxTags {
		return nil, ssmrun.Errorf(ssmrun.CodeInvalidParameters, "Tags: an instance can have %d tags, and these are %d.", maxTags, len(tags))
	}
	n := identity.NewActivation{
		Scope: c.Scope, IamRole: in.IamRole, Description: in.Description, DefaultName: in.DefaultInstanceName,
		Limit: in.RegistrationLimit, Tags: tags,
	}
	if n.Expires, err = a.expiration(in.ExpirationDate); err != nil {
		return nil, err
	}
	for _, m := range in.RegistrationMetadata {
		if m.Key != metadataInstanceID {
			continue // AWS keeps others for itself
		}
		if !ec2ID.MatchString(m.Value) {
			return nil, ssmrun.Errorf(ssmrun.CodeInvalidParameters, "RegistrationMetadata: %s is no EC2 instance id. %s takes i- and 8 or 17 hexadecimal digits.", clipped(m.Value), metadataInstanceID)
		}
		if in.RegistrationLimit > 1 {
			return nil, ssmrun.Errorf(ssmrun.CodeInvalidParameters, "RegistrationLimit: an activation for one instance (%s) can be used once. Leave RegistrationLimit out, or make it 1.", metadataInstanceID)
		}
		n.InstanceID = m.Value
		c.Subject.Instances = []string{m.Value}
	}
	id, code, err := a.cfg.Identity.CreateActivation(ctx, n)
	if err != nil {
		return nil, err
	}
	c.Subject.Activation = id
	return struct{ ActivationId, ActivationCode string }{id, code}, nil
}

// expiration reads ExpirationDate; zero where there is none.
func (a *API) expiration(n *json.Number) (time.Time, error) {
	if n == nil {
		return time.Time{}, nil
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > 1e11 {
		return time.Time{}, ssmrun.Errorf(ssmrun.CodeInvalidParameters, "ExpirationDate: %s is no time in seconds since 1970.", clipped(n.String()))
	}
	at := time.UnixMilli(int64(seconds * 1000)).UTC()
	now := a.cfg.Now()
	switch {
	case !at.After(now):
		return at, ssmrun.Errorf(ssmrun.CodeInvalidParameters, "ExpirationDate: %s is over. Name a time within the next 30 days.", at.Format(time.RFC3339))
	case at.After(now.Add(maxActivationLife + clockAllowance)):
		return at, ssmrun.Errorf(ssmrun.CodeInvalidParameters, "ExpirationDate: %s is more than 30 days ahead, which is the limit. Name an earlier time.", at.Format(time.RFC3339))
	}
	return at, nil
}

type activationJSON struct {
	ActivationId        string
	Description         string `json:",omitempty"`
	DefaultInstanceName string `json:",omitempty"`
	IamRole             string
	RegistrationLimit   int
	RegistrationsCount  int
	ExpirationDate      *epoch `json:",omitempty"`
	Expired             bool
	CreatedDate         *epoch `json:",omitempty"`
	Tags                []tagJSON
}

// defaultActivations is our choice: AWS documents no default here.
const defaultActivations = 50

func (a *API) describeActivations(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Filters []struct {
			FilterKey    string
			FilterValues []string
		}
		MaxResults int
		NextToken  string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	var q store.ActivationQuery
	none := false
	for _, f := range in.Filters {
		var at *[]string
		switch f.FilterKey {
		case "ActivationIds":
			at = &q.IDs
		case "DefaultInstanceName":
			at = &q.DefaultNames
		case "IamRole":
			at = &q.IamRoles
		default: // the model's enum has been checked: there is no key
			return nil, ssmrun.Errorf("InvalidFilter", "A filter has no FilterKey: name ActivationIds, DefaultInstanceName or IamRole.")
		}
		if len(f.FilterValues) == 0 {
			return nil, ssmrun.Errorf("InvalidFilter", "The filter %s has no FilterValues.", f.FilterKey)
		}
		if len(*at) > 0 { // every filter has to match
			f.FilterValues = intersect(*at, f.FilterValues)
			none = none || len(f.FilterValues) == 0
		}
		*at = f.FilterValues
	}
	limit := in.MaxResults
	if limit == 0 {
		limit = defaultActivations
	}
	page, err := a.page(c, limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		ActivationList []activationJSON
		NextToken      string `json:",omitempty"`
	}
	out.ActivationList = []activationJSON{}
	if none {
		return out, nil
	}
	now := a.cfg.Now()
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, next, err := tx.ListActivations(c.Scope, q, page)
		for i := range list {
			l := &list[i]
			out.ActivationList = append(out.ActivationList, activationJSON{
				ActivationId: l.ID, Description: l.Description, DefaultInstanceName: l.DefaultName, IamRole: l.IamRole,
				RegistrationLimit: l.Limit, RegistrationsCount: l.Count, ExpirationDate: epochPtr(l.ExpiresAt),
				Expired: !now.Before(l.ExpiresAt), CreatedDate: epochPtr(l.CreatedAt), Tags: tagsOut(l.Tags),
			})
		}
		out.NextToken = a.next(c, next)
		return err
	})
	return out, err
}

func intersect(a, b []string) []string {
	var both []string
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}

func (a *API) deleteActivation(ctx context.Context, c *Call) (any, error) {
	var in struct{ ActivationId string }
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject.Activation = in.ActivationId
	err := a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		found, err := tx.Activation(in.ActivationId)
		if errors.Is(err, ssmrun.ErrNotFound) || err == nil && found.Scope != c.Scope {
			return ssmrun.Errorf("InvalidActivationId", "Activation %s does not exist in this account and region.", in.ActivationId)
		}
		if err != nil {
			return err
		}
		return tx.DeleteActivation(in.ActivationId)
	})
	return struct{}{}, err
}
