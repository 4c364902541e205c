package metadata

import (
	"context"
	"slices"
	"strings"
	"time"

	"ssmrun/internal/identity"
)

// The paths of keys.
const (
	pathRoles        = "meta-data/iam/security-credentials"
	pathIdentityKeys = "meta-data/identity-credentials/ec2/security-credentials/ec2-instance"
	pathIdentityInfo = "meta-data/identity-credentials/ec2/info"
	pathProfile      = "meta-data/iam/info"
	pathDocument     = "dynamic/instance-identity/document"
)

// values are the paths that answer with a text. Those of documents are named for
// the lists of what is there.
func (h *Handler) values() map[string]string {
	i, a := &h.cfg.Instance, &h.cfg.About
	v := map[string]string{
		"meta-data/instance-id":                    i.ID,
		"meta-data/instance-type":                  a.InstanceType,
		"meta-data/local-ipv4":                     a.PrivateIP,
		"meta-data/hostname":                       a.Host,
		"meta-data/local-hostname":                 a.Host,
		"meta-data/placement/availability-zone":    a.Zone,
		"meta-data/placement/availability-zone-id": zoneID(i.Scope.Region, a.Zone),
		"meta-data/placement/region":               i.Scope.Region,
		"meta-data/services/domain":                "amazonaws.com",
		"meta-data/services/partition":             "aws",
		pathIdentityKeys:                           "",
		pathIdentityInfo:                           "",
		pathDocument:                               "",
	}
	if a.ImageID != "" {
		v["meta-data/ami-id"] = a.ImageID
	}
	if i.Role != "" {
		v[pathRoles+"/"+i.Role] = ""
		v[pathProfile] = ""
	}
	return v
}

// below lists the names right below a path, sorted; those that have more below
// them end with /.
func below(values map[string]string, path string) []string {
	var names []string
	for at := range values {
		rest, ok := strings.CutPrefix(at, path)
		if !ok {
			continue
		}
		if name, _, more := strings.Cut(rest, "/"); more {
			rest = name + "/"
		}
		names = append(names, rest)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// zoneID makes an id such as use1-az1 of a region and a zone of it.
func zoneID(region, zone string) string {
	parts := strings.Split(region, "-")
	var short strings.Builder
	short.WriteString(parts[0])
	for _, p := range parts[1:] {
		short.WriteString(p[:1])
	}
	number := 1
	if last := zone[len(zone)-1]; last >= 'a' && last <= 'z' {
		number = int(last-'a') + 1
	}
	return short.String() + "-az" + string(rune('0'+number%10))
}

// document answers the paths that have a JSON document; nil for others.
func (h *Handler) document(ctx context.Context, path string) any {
	i, a := &h.cfg.Instance, &h.cfg.About
	switch {
	case path == pathDocument:
		return struct {
			AccountID    string `json:"accountId"`
			Architecture string `json:"architecture"`
			Zone         string `json:"availabilityZone"`
			ImageID      string `json:"imageId"`
			InstanceID   string `json:"instanceId"`
			InstanceType string `json:"instanceType"`
			PrivateIP    string `json:"privateIp"`
			Region       string `json:"region"`
			Version      string `json:"version"`
		}{i.Scope.Account, "x86_64", a.Zone, a.ImageID, i.ID, a.InstanceType, a.PrivateIP, i.Scope.Region, "2017-09-30"}
	case path == pathIdentityKeys:
		return h.keys(ctx, func(_ context.Context, i identity.EC2Instance) (identity.TemporaryKey, error) {
			return h.cfg.Identity.IdentityKey(i)
		})
	case path == pathIdentityInfo:
		return struct {
			Code, LastUpdated string
			AccountID         string `json:"AccountId"`
		}{"Success", h.cfg.Now().UTC().Format(time.RFC3339), i.Scope.Account}
	case i.Role != "" && path == pathRoles+"/"+i.Role:
		return h.keys(ctx, h.cfg.Identity.ProfileKey)
	case i.Role != "" && path == pathProfile:
		return struct {
			Code, LastUpdated string
			ProfileARN        string `json:"InstanceProfileArn"`
			ProfileID         string `json:"InstanceProfileId"`
		}{
			"Success", h.cfg.Now().UTC().Format(time.RFC3339),
			"arn:aws:iam::" + i.Scope.Account + ":instance-profile/" + i.Role, "AIPA" + strings.ToUpper(strings.TrimPrefix(i.ID, "i-")),
		}
	}
	return nil
}
