package awsapi

import (
	"context"
	"slices"

	"ssmrun"
	"ssmrun/internal/store"
)

type instanceInformation struct {
	InstanceId       string
	PingStatus       ssmrun.PingStatus
	LastPingDateTime *epoch `json:",omitempty"`
	AgentVersion     string
	IsLatestVersion  bool
	PlatformType     string
	PlatformName     string
	PlatformVersion  string
	ActivationId     string `json:",omitempty"`
	IamRole          string `json:",omitempty"`
	RegistrationDate *epoch `json:",omitempty"`
	ResourceType     string
	Name             string `json:",omitempty"`
	IPAddress        string
	ComputerName     string
	SourceId         string
	SourceType       string
}

type instanceFilter struct {
	Key    string
	Values []string
}

func (a *API) describeInstanceInformation(ctx context.Context, c *Call) (any, error) {
	var in struct {
		InstanceInformationFilterList []struct {
			Key      string   `json:"key"`
			ValueSet []string `json:"valueSet"`
		}
		Filters    []instanceFilter
		MaxResults int
		NextToken  string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	if len(in.Filters) > 0 && len(in.InstanceInformationFilterList) > 0 {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Cannot use both legacy and new filter simultaneously.")
	}
	filters := in.Filters
	for _, f := range in.InstanceInformationFilterList {
		filters = append(filters, instanceFilter{f.Key, f.ValueSet})
	}
	q, pings, none, err := instanceQuery(filters)
	if err != nil {
		return nil, err
	}
	limit := in.MaxResults
	if limit == 0 {
		limit = 10 // AWS's documented default here
	}
	page, err := a.page(c, a.races.limit(limit), in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		InstanceInformationList []instanceInformation
		NextToken               string `json:",omitempty"`
	}
	out.InstanceInformationList = []instanceInformation{}
	if none {
		return out, nil
	}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, next, err := tx.ListInstances(c.Scope, q, page)
		if err != nil {
			return err
		}
		for i := range list {
			ping := a.cfg.Control.PingStatus(&list[i])
			// The ping status is not in the store: a page may come out shorter
			// than asked, as AWS's do.
			if len(pings) > 0 && !slices.Contains(pings, string(ping)) {
				continue
			}
			out.InstanceInformationList = append(out.InstanceInformationList, informationOut(&list[i], ping))
		}
		out.NextToken = a.next(c, next)
		return nil
	})
	return out, err
}

// instanceQuery reads the filters. none: no instance can match.
func instanceQuery(filters []instanceFilter) (q store.InstanceQuery, pings []string, none bool, err error) {
	for _, f := range filters {
		switch f.Key {
		case "InstanceIds":
			q.IDs = append(q.IDs, f.Values...)
		case "AgentVersion":
			q.AgentVersions = append(q.AgentVersions, f.Values...)
		case "PingStatus":
			pings = append(pings, f.Values...)
		case "PlatformTypes":
			q.PlatformTypes = append(q.PlatformTypes, f.Values...)
		case "ActivationIds":
			q.ActivationIDs = append(q.ActivationIDs, f.Values...)
		case "IamRole":
			q.IamRoles = append(q.IamRoles, f.Values...)
		case "ResourceType":
			q.ResourceTypes = append(q.ResourceTypes, f.Values...)
		case "AssociationStatus", "SourceIds", "SourceTypes", "tag-key":
			none = true // no instance of the service has any
		default:
			if len(f.Key) > 4 && f.Key[:4] == "tag:" {
				if len(filters) > 1 {
					return q, nil, false, ssmrun.Errorf(ssmrun.CodeValidation, "Cannot mix tag or inventory filter with any other filter.")
				}
				none = true
				continue
			}
			return q, nil, false, ssmrun.Errorf(ssmrun.CodeValidation, "%s filter Key is invalid.", f.Key)
		}
	}
	return q, pings, none, nil
}

func informationOut(i *ssmrun.Instance, ping ssmrun.PingStatus) instanceInformation {
	out := instanceInformation{
		InstanceId: i.ID, PingStatus: ping, LastPingDateTime: epochPtr(i.LastPing),
		AgentVersion: i.AgentVersion, IsLatestVersion: true,
		PlatformType: i.PlatformType, PlatformName: i.PlatformName, PlatformVersion: i.PlatformVersion,
		ResourceType: i.ResourceType(), IPAddress: i.IPAddress, ComputerName: i.Name,
		SourceId: i.ID, SourceType: "AWS::EC2::Instance",
	}
	if i.ResourceType() == "ManagedInstance" {
		out.ActivationId, out.IamRole = i.ActivationID, i.IamRole
		out.RegistrationDate = epochPtr(i.RegisteredAt)
		out.SourceType = "AWS::SSM::ManagedInstance"
	}
	return out
}
