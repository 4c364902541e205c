package awsapi

import (
	"context"
	"encoding/xml"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

var ec2ID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

type describeInstancesResponse struct {
	XMLName      xml.Name         `xml:"DescribeInstancesResponse"`
	Space        string           `xml:"xmlns,attr"`
	Request      string           `xml:"requestId"`
	Reservations []ec2Reservation `xml:"reservationSet>item"`
}

type ec2Reservation struct {
	ID        string        `xml:"reservationId"`
	Owner     string        `xml:"ownerId"`
	Groups    struct{}      `xml:"groupSet"`
	Instances []ec2Instance `xml:"instancesSet>item"`
}

type ec2Instance struct {
	ID         string `xml:"instanceId"`
	StateCode  int    `xml:"instanceState>code"`
	StateName  string `xml:"instanceState>name"`
	PrivateDNS string `xml:"privateDnsName"`
	PrivateIP  string `xml:"privateIpAddress,omitempty"`
	LaunchTime string `xml:"launchTime"`
	ProfileARN string `xml:"iamInstanceProfile>arn,omitempty"`
	Platform   string `xml:"platformDetails"`
}

// describeInstances tells of the instances that registered under an EC2 id. A
// host that runs our agent runs: the service knows no other state of it.
func (a *API) describeInstances(ctx context.Context, c *Call, form url.Values) (any, error) {
	ids, err := instanceIDParams(form)
	if err != nil {
		return nil, err
	}
	c.Subject.Instances = ids
	out := describeInstancesResponse{Space: ec2Namespace, Request: c.Answer.Get(HeaderRequestID)}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, err := ec2Instances(tx, c.Scope, ids)
		for i := range list {
			out.Reservations = append(out.Reservations, reservation(&list[i]))
		}
		return err
	})
	return out, err
}

// instanceIDParams reads InstanceId.1, InstanceId.2 and so on. Filters are
// refused rather than ignored: an answer to another question would be wrong.
func instanceIDParams(form url.Values) ([]string, error) {
	var ids, malformed []string
	for _, key := range slices.Sorted(maps.Keys(form)) {
		switch {
		case strings.HasPrefix(key, "InstanceId."):
			id := form.Get(key)
			if !ec2ID.MatchString(id) {
				malformed = append(malformed, id)
			}
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		case strings.HasPrefix(key, "Filter."):
			return nil, ssmrun.Errorf("InvalidParameterValue", "This service's DescribeInstances takes instance ids and no filters.")
		}
	}
	if len(malformed) > 0 {
		return nil, ssmrun.Errorf("InvalidInstanceID.Malformed", "Invalid id: \"%s\"", strings.Join(malformed, ", "))
	}
	return ids, nil
}

func ec2Instances(tx store.Tx, scope ssmrun.Scope, ids []string) ([]ssmrun.Instance, error) {
	if len(ids) == 0 {
		list, _, err := tx.ListInstances(scope, store.InstanceQuery{ResourceTypes: []string{"EC2Instance"}}, store.Page{Limit: 1000})
		return list, err
	}
	var list []ssmrun.Instance
	var unknown []string
	for _, id := range ids {
		i, err := tx.Instance(scope, id)
		switch {
		case errors.Is(err, ssmrun.ErrNotFound):
			unknown = append(unknown, id)
		case err != nil:
			return nil, err
		default:
			list = append(list, *i)
		}
	}
	switch len(unknown) {
	case 0:
		return list, nil
	case 1:
		return nil, ssmrun.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", unknown[0])
	default:
		return nil, ssmrun.Errorf("InvalidInstanceID.NotFound", "The instance IDs '%s' do not exist", strings.Join(unknown, ", "))
	}
}

func reservation(i *ssmrun.Instance) ec2Reservation {
	inst := ec2Instance{
		ID: i.ID, StateCode: 16, StateName: "running", PrivateDNS: i.Name, PrivateIP: i.IPAddress,
		LaunchTime: isoTime(i.RegisteredAt), Platform: strings.TrimSpace(i.PlatformName + " " + i.PlatformVersion),
	}
	if i.IamRole != "" {
		inst.ProfileARN = "arn:aws:iam::" + i.Scope.Account + ":instance-profile/" + i.IamRole
	}
	return ec2Reservation{ID: "r-" + strings.TrimPrefix(i.ID, "i-"), Owner: i.Scope.Account, Instances: []ec2Instance{inst}}
}
