package awsapi

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// instanceFilter is a filter of DescribeInstanceInformation or
// DescribeInstanceProperties, of either style.
type instanceFilter struct {
	Key      string
	Values   []string
	Operator string // "" is Equal
}

// legacyFilter is a filter of the older style, whose members are spelled so.
type legacyFilter struct {
	Key      string   `json:"key"`
	ValueSet []string `json:"valueSet"`
}

// oneStyle gives the filters of a call, which has to use one style.
func oneStyle(legacy []legacyFilter, filters []instanceFilter) ([]instanceFilter, error) {
	if len(legacy) > 0 && len(filters) > 0 {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Cannot use both legacy and new filter simultaneously.")
	}
	for _, f := range legacy {
		filters = append(filters, instanceFilter{Key: f.Key, Values: f.ValueSet})
	}
	return filters, nil
}

// node is an instance as filters and answers see it.
type node struct {
	*ssmrun.Instance
	ping ssmrun.PingStatus
	tags map[string]string
}

// hybrid tells whether the node is none of EC2's: what its activation gave it
// is shown for those only.
func (n *node) hybrid() bool { return n.ResourceType() == "ManagedInstance" }

func (n *node) sourceType() string {
	if n.hybrid() {
		return "AWS::SSM::ManagedInstance"
	}
	return "AWS::EC2::Instance"
}

func ofHybrid(get func(*node) string) func(*node) string {
	return func(n *node) string {
		if !n.hybrid() {
			return ""
		}
		return get(n)
	}
}

// nodeKey is a key that filters know.
type nodeKey struct {
	get func(*node) string
	// valid tells whether a value can be one; nil: every value can.
	valid func(string) bool
	// code is that of a value that cannot; "" for the operation's own.
	code ssmrun.Code
	// query narrows the store's look with values that have to be equal; nil
	// where the store does not know the key.
	query func(*store.InstanceQuery) *[]string
	// ordered keys can be compared by LessThan and GreaterThan.
	ordered bool
}

func oneOf(values ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(values, v) }
}

// nodeKeys are the keys that both operations know, tags apart.
func nodeKeys() map[string]nodeKey {
	return map[string]nodeKey{
		"InstanceIds": {
			get: func(n *node) string { return n.ID }, valid: ssmrun.ValidInstanceID, code: ssmrun.CodeInvalidInstanceID,
			query: func(q *store.InstanceQuery) *[]string { return &q.IDs },
		},
		"SourceIds": {get: func(n *node) string { return n.ID }},
		"AgentVersion": {
			get: func(n *node) string { return n.AgentVersion }, ordered: true,
			query: func(q *store.InstanceQuery) *[]string { return &q.AgentVersions },
		},
		"PingStatus": {
			get:   func(n *node) string { return string(n.ping) },
			valid: oneOf(string(ssmrun.Online), string(ssmrun.ConnectionLost), string(ssmrun.Inactive)),
		},
		"PlatformTypes": {
			get: func(n *node) string { return n.PlatformType }, valid: oneOf("Windows", "Linux", "MacOS"),
			query: func(q *store.InstanceQuery) *[]string { return &q.PlatformTypes },
		},
		"ActivationIds": {
			get:   ofHybrid(func(n *node) string { return n.ActivationID }),
			valid: validUUID, code: "InvalidActivationId",
			query: func(q *store.InstanceQuery) *[]string { return &q.ActivationIDs },
		},
		"IamRole": {
			get:   ofHybrid(func(n *node) string { return n.IamRole }),
			query: func(q *store.InstanceQuery) *[]string { return &q.IamRoles },
		},
		"ResourceType": {
			get: func(n *node) string { return n.ResourceType() }, valid: oneOf("EC2Instance", "ManagedInstance"),
			query: func(q *store.InstanceQuery) *[]string { return &q.ResourceTypes },
		},
		"SourceTypes": {
			get:   (*node).sourceType,
			valid: oneOf("AWS::EC2::Instance", "AWS::SSM::ManagedInstance", "AWS::IoT::Thing", "Microsoft.Compute/virtualMachines"),
		},
		// There are no associations, so that no node has a status of one.
		"AssociationStatus": {get: func(*node) string { return "" }},
	}
}

// nodeFilter is a set of filters, all of which a node has to pass.
type nodeFilter struct {
	query store.InstanceQuery
	tests []func(*node) bool
	// tagged are the tag filters that the store can look up: key and values,
	// nil for any.
	tagged []taggedBy
	tags   bool // tests look at tags
}

type taggedBy struct {
	key    string
	values []string
}

// add reads a filter. badValue is the operation's code for a value that cannot
// be one. Codes that an operation does not declare are its badValue too.
func (f *nodeFilter) add(in instanceFilter, declares func(ssmrun.Code) bool, badValue ssmrun.Code) error {
	if tag, ok := strings.CutPrefix(in.Key, "tag:"); ok && tag != "" {
		return f.addTag(tag, in, badValue)
	}
	if in.Key == "tag-key" {
		return f.addTagKey(in, badValue)
	}
	key, ok := nodeKeys()[in.Key]
	if !ok {
		return badFilterKey(in.Key)
	}
	exact := in.Operator == "" || in.Operator == "Equal"
	if key.valid != nil && (exact || in.Operator == "NotEqual") {
		for _, v := range in.Values {
			if key.valid(v) {
				continue
			}
			code := badValue
			if key.code != "" && declares(key.code) {
				code = key.code
			}
			return ssmrun.Errorf(code, "%s is no value for the filter key %s.", clipped(v), in.Key)
		}
	}
	test, err := compare(in, key.ordered, badValue)
	if err != nil {
		return err
	}
	f.tests = append(f.tests, func(n *node) bool { return test(key.get(n)) })
	if exact && key.query != nil {
		if at := key.query(&f.query); len(*at) == 0 {
			*at = in.Values
		}
	}
	return nil
}

func badFilterKey(key string) error {
	return ssmrun.Errorf(ssmrun.CodeValidation, "%s filter Key is invalid.", clipped(key))
}

func (f *nodeFilter) addTag(tag string, in instanceFilter, badValue ssmrun.Code) error {
	test, err := compare(in, false, badValue)
	if err != nil {
		return err
	}
	if in.Operator == "" || in.Operator == "Equal" {
		f.tagged = append(f.tagged, taggedBy{tag, in.Values})
		return nil
	}
	f.tags = true
	f.tests = append(f.tests, func(n *node) bool {
		value, ok := n.tags[tag]
		return ok && test(value) || !ok && in.Operator == "NotEqual"
	})
	return nil
}

func (f *nodeFilter) addTagKey(in instanceFilter, badValue ssmrun.Code) error {
	test, err := compare(in, false, badValue)
	if err != nil {
		return err
	}
	f.tags = true
	f.tests = append(f.tests, func(n *node) bool {
		for key := range n.tags {
			if in.Operator == "NotEqual" {
				if !test(key) {
					return false
				}
			} else if test(key) {
				return true
			}
		}
		return in.Operator == "NotEqual"
	})
	return nil
}

// compare gives the test of a filter's operator: Equal and BeginWith want any
// value, NotEqual none of them, the others compare with each.
func compare(in instanceFilter, ordered bool, badValue ssmrun.Code) (func(string) bool, error) {
	switch in.Operator {
	case "", "Equal":
		return func(s string) bool { return slices.Contains(in.Values, s) }, nil
	case "NotEqual":
		return func(s string) bool { return !slices.Contains(in.Values, s) }, nil
	case "BeginWith":
		return func(s string) bool {
			return slices.ContainsFunc(in.Values, func(v string) bool { return strings.HasPrefix(s, v) })
		}, nil
	}
	if !ordered {
		return nil, ssmrun.Errorf(badValue, "The operator %s does not go with the filter key %s: use Equal, NotEqual or BeginWith.", in.Operator, in.Key)
	}
	for _, v := range in.Values {
		if _, ok := versionParts(v); !ok {
			return nil, ssmrun.Errorf(badValue, "%s is no version, as %s with the operator %s needs.", clipped(v), in.Key, in.Operator)
		}
	}
	sign := 1
	if in.Operator == "LessThan" {
		sign = -1
	}
	return func(s string) bool {
		if _, ok := versionParts(s); !ok {
			return false // not known yet
		}
		return slices.ContainsFunc(in.Values, func(v string) bool { return compareVersions(s, v) == sign })
	}, nil
}

// narrow looks up the tags of the filters. none: no node can pass.
func (f *nodeFilter) narrow(tx store.Tx, scope ssmrun.Scope) (q store.InstanceQuery, none bool, err error) {
	q = f.query
	for _, t := range f.tagged {
		ids, err := tx.TaggedIDs(scope, identity.ManagedInstanceTags, t.key, t.values)
		if err != nil {
			return q, false, err
		}
		if len(q.IDs) > 0 {
			before := make(map[string]bool, len(q.IDs))
			for _, id := range q.IDs {
				before[id] = true
			}
			ids = slices.DeleteFunc(ids, func(id string) bool { return !before[id] })
		}
		if q.IDs = ids; len(ids) == 0 {
			return q, true, nil
		}
	}
	return q, false, nil
}

// maxLooks bounds how often one call asks the store for more where filters
// leave little: the page then comes out shorter than asked, as AWS's do.
const maxLooks = 100

// nodes lists the nodes that pass the filters, a page of them, and gives the
// place where the next begins.
func (a *API) nodes(tx store.Tx, scope ssmrun.Scope, f *nodeFilter, page store.Page) (list []node, next string, err error) {
	q, none, err := f.narrow(tx, scope)
	if none || err != nil {
		return nil, "", err
	}
	for want, looks := page.Limit, 0; looks < maxLooks && len(list) < want; looks++ {
		page.Limit = want - len(list) // so that a page of the store ends where ours does
		part, more, err := tx.ListInstances(scope, q, page)
		if err != nil {
			return nil, "", err
		}
		for i := range part {
			n := node{Instance: &part[i], ping: a.cfg.Control.PingStatus(&part[i])}
			if f.tags {
				if n.tags, err = tx.Tags(scope, identity.ManagedInstanceTags, n.ID); err != nil {
					return nil, "", err
				}
			}
			if !slices.ContainsFunc(f.tests, func(test func(*node) bool) bool { return !test(&n) }) {
				list = append(list, n)
			}
		}
		if page.Token, next = more, more; more == "" {
			break
		}
	}
	return list, next, nil
}

// versionParts reads a version like 3.3.5226.0.
func versionParts(v string) ([]int, bool) {
	var parts []int
	for part := range strings.SplitSeq(v, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		parts = append(parts, n)
	}
	return parts, true
}

// compareVersions compares number by number; what is no version is less.
func compareVersions(a, b string) int {
	x, _ := versionParts(a)
	y, _ := versionParts(b)
	for len(x) < len(y) {
		x = append(x, 0)
	}
	for len(y) < len(x) {
		y = append(y, 0)
	}
	return slices.Compare(x, y)
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func validUUID(s string) bool { return uuidForm.MatchString(s) }

// clipped keeps what a message repeats short.
func clipped(s string) string { return ssmrun.Head(s, 100) }
