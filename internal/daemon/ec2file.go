package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/awsapi"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// ec2Entry is an entry of the file that --ec2-instances names.
type ec2Entry struct {
	InstanceID         string `json:"InstanceId"`
	State              string // default running
	IamInstanceProfile string // the profile's name; "" for none
	Name               string // the tag Name
	Tags               map[string]string
	Region             string // default the first that is served
	Account            string // default the service's own
	PrivateIPAddress   string `json:"PrivateIpAddress"`
	PublicIPAddress    string `json:"PublicIpAddress"`
	PrivateDNSName     string `json:"PrivateDnsName"`
	AvailabilityZone   string
	InstanceType       string
	Architecture       string
	PlatformDetails    string
	KeyName            string
	ImageID            string `json:"ImageId"`
	LaunchTime         string // RFC 3339
}

// readEC2Instances reads the EC2 instances of a file: a JSON list of objects.
// Errors name the entry and the field.
func readEC2Instances(file string, scopes []ssmrun.Scope) ([]store.EC2Instance, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseEC2Instances(b, scopes)
}

func parseEC2Instances(b []byte, scopes []ssmrun.Scope) ([]store.EC2Instance, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var raw []json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("it is no JSON list of instances: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("it has more after its JSON list")
	}
	var list []store.EC2Instance
	var errs []error
	seen := map[string]int{}
	for n, r := range raw {
		i, err := readEC2Entry(r, scopes)
		if err == nil && seen[i.ID] > 0 {
			err = wrong("InstanceId", "entry %d has the same", seen[i.ID])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("entry %d%s: %w", n+1, entryName(r), err))
			continue
		}
		seen[i.ID] = n + 1
		list = append(list, *i)
	}
	return list, errors.Join(errs...)
}

// entryName is the id that an entry which cannot be read seems to have.
func entryName(r json.RawMessage) string {
	var e struct {
		InstanceID string `json:"InstanceId"`
	}
	if json.Unmarshal(r, &e) != nil || e.InstanceID == "" {
		return ""
	}
	return " (" + ssmrun.Head(e.InstanceID, 30) + ")"
}

func readEC2Entry(r json.RawMessage, scopes []ssmrun.Scope) (*store.EC2Instance, error) {
	e := ec2Entry{State: store.EC2Running, Region: scopes[0].Region, Account: scopes[0].Account}
	d := json.NewDecoder(bytes.NewReader(r))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, wrong(orEntry(mismatch.Field), "a %s cannot stand there", mismatch.Value)
		}
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if key := twice(r); key != "" {
		return nil, wrong(key, "it is named twice")
	}
	if err := e.check(scopes); err != nil {
		return nil, err
	}
	var launched time.Time
	if e.LaunchTime != "" {
		var err error
		if launched, err = time.Parse(time.RFC3339, e.LaunchTime); err != nil {
			return nil, wrong("LaunchTime", "%q is no time like 2026-01-31T12:00:00Z", e.LaunchTime)
		}
	}
	i := &store.EC2Instance{
		ID: e.InstanceID, Scope: ssmrun.Scope{Account: e.Account, Region: e.Region}, State: e.State,
		Profile: e.IamInstanceProfile, PrivateIP: e.PrivateIPAddress, PrivateDNS: e.PrivateDNSName, PublicIP: e.PublicIPAddress,
		AvailabilityZone: e.AvailabilityZone, InstanceType: e.InstanceType, Architecture: e.Architecture,
		Platform: e.PlatformDetails, KeyName: e.KeyName, ImageID: e.ImageID, LaunchedAt: launched, Tags: e.Tags,
	}
	if e.Name != "" {
		i.Tags = maps.Clone(e.Tags)
		if i.Tags == nil {
			i.Tags = map[string]string{}
		}
		i.Tags["Name"] = e.Name
	}
	return i, nil
}

func orEntry(field string) string {
	if field == "" {
		return "the entry"
	}
	return field
}

// twice finds a key that an entry has two times: the second would win unseen.
func twice(r json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(r))
	if _, err := d.Token(); err != nil {
		return ""
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		name, _ := key.(string)
		if seen[strings.ToLower(name)] { // the decoder takes any case
			return name
		}
		seen[strings.ToLower(name)] = true
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return ""
		}
	}
	return ""
}

// wrong says what is wrong with a field.
func wrong(field, format string, args ...any) error {
	return fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...))
}

func (e *ec2Entry) check(scopes []ssmrun.Scope) error {
	served := func(s ssmrun.Scope) bool { return slices.Contains(scopes, s) }
	switch {
	case !ssmrun.ValidInstanceID(e.InstanceID) || !strings.HasPrefix(e.InstanceID, "i-"):
		return wrong("InstanceId", "%q is not i- and 8 or 17 hexadecimal digits", e.InstanceID)
	case !served(ssmrun.Scope{Account: e.Account, Region: scopes[0].Region}):
		return wrong("Account", "%q is not served; --account-id and --other-account name those that are", e.Account)
	case !served(ssmrun.Scope{Account: e.Account, Region: e.Region}):
		return wrong("Region", "%q is not served; --region names those that are", e.Region)
	case strings.ContainsAny(e.IamInstanceProfile, "/: "):
		return wrong("IamInstanceProfile", "%q is not a profile's name; give it without ARN and path", e.IamInstanceProfile)
	case e.Name != "" && e.Tags["Name"] != "" && e.Name != e.Tags["Name"]:
		return wrong("Name", "Tags has another Name; leave one out")
	case len(e.Tags) > 50:
		return wrong("Tags", "an instance has 50 at most, not %d", len(e.Tags))
	}
	if _, ok := awsapi.EC2States[e.State]; !ok {
		return wrong("State", "%q is none of %s", e.State, strings.Join(slices.Sorted(maps.Keys(awsapi.EC2States)), ", "))
	}
	for field, ip := range map[string]string{"PrivateIpAddress": e.PrivateIPAddress, "PublicIpAddress": e.PublicIPAddress} {
		if ip != "" && net.ParseIP(ip) == nil {
			return wrong(field, "%q is no IP address", ip)
		}
	}
	for key, value := range e.Tags {
		if key == "" || len(key) > 128 || len(value) > 256 || strings.HasPrefix(strings.ToLower(key), "aws:") {
			return wrong("Tags", "the tag %q cannot be: a key has 1 to 128 characters and does not begin with aws:, a value up to 256", key)
		}
	}
	return nil
}

// loadEC2Instances makes the store know what the file says, and forget what it
// said before and does not say any more. Tags that were added otherwise stay.
func (d *Daemon) loadEC2Instances(ctx context.Context) error {
	var list []store.EC2Instance
	if d.cfg.EC2Instances != "" {
		var err error
		if list, err = readEC2Instances(d.cfg.EC2Instances, d.scopes()); err != nil {
			return &ConfigError{fmt.Errorf("--ec2-instances %s: %w", d.cfg.EC2Instances, err)}
		}
	}
	return d.store.Update(ctx, func(tx store.Tx) error {
		for _, scope := range d.scopes() {
			before, err := tx.EC2Instances(scope, nil)
			if err != nil {
				return err
			}
			for i := range before {
				if err := forgetEC2Instance(tx, &before[i]); err != nil {
					return err
				}
			}
		}
		for i := range list {
			if err := putEC2Instance(tx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func forgetEC2Instance(tx store.Tx, i *store.EC2Instance) error {
	if err := tx.RemoveTags(i.Scope, identity.ManagedInstanceTags, i.ID, slices.Sorted(maps.Keys(i.Tags))); err != nil {
		return err
	}
	return tx.DropEC2Instance(i.ID)
}

func putEC2Instance(tx store.Tx, i *store.EC2Instance) error {
	agent, err := tx.FindInstance(i.ID)
	if err == nil && agent.Scope != i.Scope {
		return &ConfigError{fmt.Errorf("--ec2-instances: %s is registered in account %s and region %s, and the file says account %s and region %s",
			i.ID, agent.Scope.Account, agent.Scope.Region, i.Scope.Account, i.Scope.Region)}
	}
	if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
		return err
	}
	// Of a scope that is not served any more.
	if before, err := tx.FindEC2Instance(i.ID); err == nil {
		if err := forgetEC2Instance(tx, before); err != nil {
			return err
		}
	} else if !errors.Is(err, ssmrun.ErrNotFound) {
		return err
	}
	if err := tx.PutEC2Instance(i); err != nil {
		return err
	}
	return tx.PutTags(i.Scope, identity.ManagedInstanceTags, i.ID, i.Tags)
}
