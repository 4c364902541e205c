package awsapi

import (
	"context"
	"encoding/xml"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

var ec2ID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

// EC2States are the states of instances, with the codes that EC2 gives them.
var EC2States = map[string]int{
	"pending": 0, store.EC2Running: 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80,
}

type describeInstancesResponse struct {
	XMLName      xml.Name         `xml:"DescribeInstancesResponse"`
	Space        string           `xml:"xmlns,attr"`
	Request      string           `xml:"requestId"`
	Reservations []ec2Reservation `xml:"reservationSet>item"`
	NextToken    string           `xml:"nextToken,omitempty"`
}

type ec2Reservation struct {
	ID        string        `xml:"reservationId"`
	Owner     string        `xml:"ownerId"`
	Groups    struct{}      `xml:"groupSet"`
	Instances []ec2Instance `xml:"instancesSet>item"`
}

type ec2Instance struct {
	ID           string      `xml:"instanceId"`
	Image        string      `xml:"imageId,omitempty"`
	StateCode    int         `xml:"instanceState>code"`
	StateName    string      `xml:"instanceState>name"`
	PrivateDNS   string      `xml:"privateDnsName"`
	KeyName      string      `xml:"keyName,omitempty"`
	Type         string      `xml:"instanceType,omitempty"`
	LaunchTime   string      `xml:"launchTime,omitempty"`
	Placement    *placement  `xml:"placement"`
	PrivateIP    string      `xml:"privateIpAddress,omitempty"`
	PublicIP     string      `xml:"ipAddress,omitempty"`
	Architecture string      `xml:"architecture,omitempty"`
	Tags         []ec2Tag    `xml:"tagSet>item"`
	Profile      *ec2Profile `xml:"iamInstanceProfile"`
	Platform     string      `xml:"platformDetails,omitempty"`
}

type placement struct {
	Zone    string `xml:"availabilityZone"`
	Tenancy string `xml:"tenancy"`
}

type ec2Tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type ec2Profile struct {
	ARN string `xml:"arn"`
}

// maxEC2Page is the most that a page can have, and what one has without
// MaxResults.
const maxEC2Page = 1000

// maxEC2IDs is the most ids that a call may name: a page of them. AWS has a bound
// too; its value and its answer were not seen.
const maxEC2IDs = maxEC2Page

// describeInstances tells of the EC2 instances of a scope: those that the
// operator told of, those that registered under an EC2 id, and those that an
// activation waits for.
func (a *API) describeInstances(ctx context.Context, c *Call, form url.Values) (any, error) {
	ids, err := instanceIDParams(form)
	if err != nil {
		return nil, err
	}
	c.Subject.Instances = ids
	passes, err := ec2Filters(form)
	if err != nil {
		return nil, err
	}
	limit, err := ec2MaxResults(form, len(ids) > 0)
	if err != nil {
		return nil, err
	}
	if dry := form.Get("DryRun"); dry == "true" {
		return nil, ssmrun.Errorf("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	question := ec2Question(form)
	page, err := a.pageOf(c, question, limit, form.Get("NextToken"))
	if err != nil {
		return nil, err
	}
	out := describeInstancesResponse{Space: ec2Namespace, Request: c.Answer.Get(HeaderRequestID)}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		var list []machine
		next := ""
		if len(ids) > 0 {
			list, err = a.namedMachines(tx, c.Scope, ids)
			list = slices.DeleteFunc(list, func(m machine) bool { return !passes(&m) })
		} else {
			list, next, err = a.listMachines(tx, c.Scope, passes, page)
		}
		for i := range list {
			out.Reservations = append(out.Reservations, reservation(&list[i]))
		}
		out.NextToken = a.nextOf(c, question, next)
		return err
	})
	return out, err
}

// instanceIDParams reads InstanceId.1, InstanceId.2 and so on, each id once.
func instanceIDParams(form url.Values) ([]string, error) {
	var ids, malformed []string
	given := numbered(form, "InstanceId")
	if len(given) > maxEC2IDs {
		return nil, ssmrun.Errorf(codeParameterValue, "There are %d instance ids; a call may name %d.", len(given), maxEC2IDs)
	}
	for _, id := range given {
		if !ec2ID.MatchString(id) {
			malformed = append(malformed, clipped(id))
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(malformed) > 0 {
		return nil, ssmrun.Errorf("InvalidInstanceID.Malformed", "Invalid id: \"%s\"", strings.Join(malformed, ", "))
	}
	return ids, nil
}

func ec2MaxResults(form url.Values, byID bool) (int, error) {
	text := form.Get("MaxResults")
	switch {
	case text == "":
		return maxEC2Page, nil
	case byID:
		return 0, ssmrun.Errorf("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, ssmrun.Errorf(codeParameterValue, "Value ( %s ) for parameter maxResults is invalid. Expecting a number.", clipped(text))
	case n < 5:
		return 0, ssmrun.Errorf(codeParameterValue, "Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than or equal to 5.", n)
	}
	return min(n, maxEC2Page), nil
}

// ec2Question is what a page token is bound to.
func ec2Question(form url.Values) string {
	q := url.Values{}
	for key, values := range form {
		if key != "NextToken" && key != "MaxResults" {
			q[key] = values
		}
	}
	return q.Encode() // sorted by key
}

func (a *API) namedMachines(tx store.Tx, scope ssmrun.Scope, ids []string) ([]machine, error) {
	list, err := machines(tx, scope, ids, a.cfg.Now())
	if err != nil {
		return nil, err
	}
	unknown := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return slices.ContainsFunc(list, func(m machine) bool { return m.ID == id })
	})
	switch len(unknown) {
	case 0:
		return list, nil
	case 1:
		return nil, ssmrun.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", unknown[0])
	default:
		return nil, ssmrun.Errorf("InvalidInstanceID.NotFound", "The instance IDs '%s' do not exist", strings.Join(unknown, ", "))
	}
}

// listMachines gives a page of what passes, and the place where the next begins.
func (a *API) listMachines(tx store.Tx, scope ssmrun.Scope, passes func(*machine) bool, page store.Page) (list []machine, next string, err error) {
	now := a.cfg.Now()
	for want, looks := page.Limit, 0; looks < maxLooks && len(list) < want; looks++ {
		page.Limit = want - len(list) // so that a page of the store ends where ours does
		ids, more, err := tx.ListEC2IDs(scope, now, page)
		if err != nil {
			return nil, "", err
		}
		part, err := machines(tx, scope, ids, now)
		if err != nil {
			return nil, "", err
		}
		for i := range part {
			if passes(&part[i]) {
				list = append(list, part[i])
			}
		}
		if page.Token, next = more, more; more == "" {
			break
		}
	}
	return list, next, nil
}

func profileARN(m *machine) string {
	if m.Profile == "" {
		return ""
	}
	return "arn:aws:iam::" + m.Scope.Account + ":instance-profile/" + m.Profile
}

func reservationID(m *machine) string { return "r-" + strings.TrimPrefix(m.ID, "i-") }

func reservation(m *machine) ec2Reservation {
	inst := ec2Instance{
		ID: m.ID, Image: m.ImageID, StateCode: EC2States[m.State], StateName: m.State, PrivateDNS: m.PrivateDNS,
		KeyName: m.KeyName, Type: m.InstanceType, PrivateIP: m.PrivateIP, PublicIP: m.PublicIP,
		Architecture: m.Architecture, Platform: m.Platform,
	}
	if !m.LaunchedAt.IsZero() {
		inst.LaunchTime = isoTime(m.LaunchedAt)
	}
	if m.AvailabilityZone != "" {
		inst.Placement = &placement{Zone: m.AvailabilityZone, Tenancy: "default"}
	}
	if arn := profileARN(m); arn != "" {
		inst.Profile = &ec2Profile{ARN: arn}
	}
	for _, t := range tagsOut(m.tags) {
		inst.Tags = append(inst.Tags, ec2Tag(t))
	}
	return ec2Reservation{ID: reservationID(m), Owner: m.Scope.Account, Instances: []ec2Instance{inst}}
}
