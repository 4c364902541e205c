package awsapi

import (
	"context"
	"slices"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

type instanceProperty struct {
	Name             string `json:",omitempty"`
	InstanceId       string
	InstanceType     string `json:",omitempty"`
	InstanceRole     string `json:",omitempty"`
	KeyName          string `json:",omitempty"`
	InstanceState    string `json:",omitempty"`
	Architecture     string `json:",omitempty"`
	IPAddress        string `json:",omitempty"`
	LaunchTime       *epoch `json:",omitempty"`
	PingStatus       ssmrun.PingStatus
	LastPingDateTime *epoch `json:",omitempty"`
	AgentVersion     string `json:",omitempty"`
	PlatformType     string `json:",omitempty"`
	PlatformName     string `json:",omitempty"`
	PlatformVersion  string `json:",omitempty"`
	ActivationId     string `json:",omitempty"`
	IamRole          string `json:",omitempty"`
	RegistrationDate *epoch `json:",omitempty"`
	ResourceType     string
	ComputerName     string `json:",omitempty"`
	SourceId         string
	SourceType       string
	AvailabilityZone string `json:",omitempty"`
}

const codePropertyValue ssmrun.Code = "InvalidInstancePropertyFilterValue"

// defaultProperties is our choice: AWS documents no default here.
const defaultProperties = 50

func (a *API) describeInstanceProperties(ctx context.Context, c *Call) (any, error) {
	var in struct {
		InstancePropertyFilterList []legacyFilter
		FiltersWithOperator        []instanceFilter
		MaxResults                 int
		NextToken                  string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	filters, err := oneStyle(in.InstancePropertyFilterList, in.FiltersWithOperator)
	if err != nil {
		return nil, err
	}
	f, err := a.propertyFilter(ctx, c.Scope, filters)
	if err != nil {
		return nil, err
	}
	limit := in.MaxResults
	if limit == 0 {
		limit = defaultProperties
	}
	page, err := a.page(c, limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		InstanceProperties []instanceProperty
		NextToken          string `json:",omitempty"`
	}
	out.InstanceProperties = []instanceProperty{}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, next, err := a.nodes(tx, c.Scope, f, page)
		if err != nil {
			return err
		}
		for i := range list {
			p, err := propertyOut(tx, &list[i])
			if err != nil {
				return err
			}
			out.InstanceProperties = append(out.InstanceProperties, p)
		}
		out.NextToken = a.next(c, next)
		return nil
	})
	return out, err
}

// propertyFilter reads the filters: those that DescribeInstanceInformation
// knows too, and DocumentName.
func (a *API) propertyFilter(ctx context.Context, scope ssmrun.Scope, filters []instanceFilter) (*nodeFilter, error) {
	var f nodeFilter
	for _, in := range filters {
		if in.Key == "DocumentName" {
			if err := a.byDocument(ctx, scope, in, &f); err != nil {
				return nil, err
			}
			continue
		}
		declares := func(ssmrun.Code) bool { return true }
		if err := f.add(in, declares, codePropertyValue); err != nil {
			return nil, err
		}
	}
	return &f, nil
}

// byDocument selects the nodes whose platform one of the documents supports.
func (a *API) byDocument(ctx context.Context, scope ssmrun.Scope, in instanceFilter, f *nodeFilter) error {
	want := true
	switch in.Operator {
	case "", "Equal":
	case "NotEqual":
		want = false
	default:
		return ssmrun.Errorf(codePropertyValue, "The operator %s does not go with the filter key DocumentName: use Equal or NotEqual.", in.Operator)
	}
	var platforms []string
	for _, name := range in.Values {
		doc, err := a.loadDocument(ctx, scope, name, "")
		if err != nil {
			return err
		}
		platforms = append(platforms, doc.platforms...)
	}
	f.tests = append(f.tests, func(n *node) bool { return slices.Contains(platforms, n.PlatformType) == want })
	return nil
}

func propertyOut(tx store.Tx, n *node) (instanceProperty, error) {
	out := instanceProperty{
		InstanceId: n.ID, PingStatus: n.ping, LastPingDateTime: epochPtr(n.LastPing), AgentVersion: n.AgentVersion,
		PlatformType: n.PlatformType, PlatformName: n.PlatformName, PlatformVersion: n.PlatformVersion,
		ResourceType: n.ResourceType(), ComputerName: n.Name, SourceId: n.ID, SourceType: n.sourceType(),
	}
	if n.hybrid() {
		out.Name, out.ActivationId, out.IamRole = n.DefaultName, n.ActivationID, n.IamRole
		out.RegistrationDate, out.IPAddress = epochPtr(n.RegisteredAt), n.IPAddress
		return out, nil
	}
	tags, err := tx.Tags(n.Scope, identity.ManagedInstanceTags, n.ID)
	if err != nil {
		return out, err
	}
	told, err := tx.EC2Instances(n.Scope, []string{n.ID})
	if err != nil {
		return out, err
	}
	m := machineOf(n.ID, n.Scope, sources{told: first(told), agent: n.Instance})
	out.Name = tags["Name"]
	out.InstanceType, out.InstanceRole, out.KeyName, out.InstanceState = m.InstanceType, m.Profile, m.KeyName, m.State
	out.Architecture, out.IPAddress, out.LaunchTime, out.AvailabilityZone = m.Architecture, m.PublicIP, epochPtr(m.LaunchedAt), m.AvailabilityZone
	return out, nil
}
