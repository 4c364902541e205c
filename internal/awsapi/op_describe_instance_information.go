package awsapi

import (
	"context"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

type instanceInformation struct {
	InstanceId       string
	PingStatus       ssmrun.PingStatus
	LastPingDateTime *epoch `json:",omitempty"`
	AgentVersion     string `json:",omitempty"`
	IsLatestVersion  bool
	PlatformType     string `json:",omitempty"`
	PlatformName     string `json:",omitempty"`
	PlatformVersion  string `json:",omitempty"`
	ActivationId     string `json:",omitempty"`
	IamRole          string `json:",omitempty"`
	RegistrationDate *epoch `json:",omitempty"`
	ResourceType     string
	Name             string `json:",omitempty"`
	IPAddress        string `json:",omitempty"`
	ComputerName     string `json:",omitempty"`
	SourceId         string
	SourceType       string
}

const codeInformationValue ssmrun.Code = "InvalidInstanceInformationFilterValue"

func (a *API) describeInstanceInformation(ctx context.Context, c *Call) (any, error) {
	var in struct {
		InstanceInformationFilterList []legacyFilter
		Filters                       []instanceFilter
		MaxResults                    int
		NextToken                     string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	filters, err := oneStyle(in.InstanceInformationFilterList, in.Filters)
	if err != nil {
		return nil, err
	}
	f, err := informationFilter(filters)
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
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, next, err := a.nodes(tx, c.Scope, f, page)
		if err != nil {
			return err
		}
		newest := a.newestVersions(tx, c.Scope)
		for i := range list {
			latest, err := newest(list[i].AgentName)
			if err != nil {
				return err
			}
			out.InstanceInformationList = append(out.InstanceInformationList, informationOut(&list[i], latest))
		}
		out.NextToken = a.next(c, next)
		return nil
	})
	return out, err
}

// informationFilter reads the filters. Those by tags go with one another only.
func informationFilter(filters []instanceFilter) (*nodeFilter, error) {
	var f nodeFilter
	tags := 0
	for _, in := range filters {
		if in.Key == "tag-key" || strings.HasPrefix(in.Key, "tag:") {
			tags++
		}
		declares := func(code ssmrun.Code) bool { return code == ssmrun.CodeInvalidInstanceID }
		if err := f.add(in, declares, codeInformationValue); err != nil {
			return nil, err
		}
	}
	if tags > 0 && tags < len(filters) {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Cannot mix tag or inventory filter with any other filter.")
	}
	return &f, nil
}

// agentName is how the agent that is shipped with the service calls itself.
const agentName = "ssmrun-agent"

// newestVersions tells the newest version of an agent that the service knows:
// among those of the same name that are registered in the scope and, of its own
// agent, the one that it is shipped with.
func (a *API) newestVersions(tx store.Tx, scope ssmrun.Scope) func(name string) (string, error) {
	known := map[string]string{}
	return func(name string) (string, error) {
		if v, ok := known[name]; ok {
			return v, nil
		}
		versions, err := tx.AgentVersions(scope, name)
		if err != nil {
			return "", err
		}
		if name == agentName {
			versions = append(versions, a.cfg.AgentVersion)
		}
		newest := ""
		if len(versions) > 0 {
			newest = slices.MaxFunc(versions, compareVersions)
		}
		known[name] = newest
		return newest, nil
	}
}

func informationOut(n *node, latest string) instanceInformation {
	out := instanceInformation{
		InstanceId: n.ID, PingStatus: n.ping, LastPingDateTime: epochPtr(n.LastPing),
		AgentVersion: n.AgentVersion, IsLatestVersion: n.AgentVersion != "" && compareVersions(n.AgentVersion, latest) >= 0,
		PlatformType: n.PlatformType, PlatformName: n.PlatformName, PlatformVersion: n.PlatformVersion,
		ResourceType: n.ResourceType(), IPAddress: n.IPAddress, ComputerName: n.Name,
		SourceId: n.ID, SourceType: n.sourceType(),
	}
	if n.hybrid() {
		out.ActivationId, out.IamRole, out.Name = n.ActivationID, n.IamRole, n.DefaultName
		out.RegistrationDate = epochPtr(n.RegisteredAt)
	}
	return out
}
