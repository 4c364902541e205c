package awsapi

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ssmrun"
)

// codeParameterValue is EC2's code for a parameter with a wrong value.
const codeParameterValue ssmrun.Code = "InvalidParameterValue"

// EC2's bounds of the filters of one call, and one of ours: a pattern takes a
// thousand times the memory of its text, and no value that could match is as long.
const (
	maxEC2Filters      = 50
	maxEC2FilterValues = 200
	maxEC2FilterValue  = 1000 // bytes
)

// numbered gives the values of a list in a Query form, PREFIX.1, PREFIX.2 and so
// on, in the order of their numbers.
func numbered(form url.Values, prefix string) []string {
	type entry struct {
		n     int
		value string
	}
	var list []entry
	for key := range form {
		if rest, ok := strings.CutPrefix(key, prefix+"."); ok {
			if n, err := strconv.Atoi(rest); err == nil {
				list = append(list, entry{n, form.Get(key)})
			}
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return a.n - b.n })
	values := make([]string, len(list))
	for i, e := range list {
		values[i] = e.value
	}
	return values
}

// ec2Filters reads Filter.N.Name and Filter.N.Value.M. What it gives tells
// whether an instance passes all of them.
func ec2Filters(form url.Values) (func(*machine) bool, error) {
	numbers := map[int]bool{}
	for key := range form {
		rest, ok := strings.CutPrefix(key, "Filter.")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, ssmrun.Errorf(codeParameterValue, "The parameter %s is not recognized", clipped(key))
		}
		numbers[n] = true
	}
	if len(numbers) > maxEC2Filters {
		return nil, ssmrun.Errorf("FilterLimitExceeded", "The maximum number of filters specified on a single call is %d", maxEC2Filters)
	}
	var tests []func(*machine) bool
	count := 0
	for n := range numbers {
		prefix := "Filter." + strconv.Itoa(n)
		values := numbered(form, prefix+".Value")
		if count += len(values); count > maxEC2FilterValues {
			return nil, ssmrun.Errorf("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", maxEC2FilterValues)
		}
		test, err := ec2Filter(form.Get(prefix+".Name"), values)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	return func(m *machine) bool {
		return !slices.ContainsFunc(tests, func(test func(*machine) bool) bool { return !test(m) })
	}, nil
}

// ec2Keys are the filters that have one value per instance.
var ec2Keys = map[string]func(*machine) string{
	"architecture":             func(m *machine) string { return m.Architecture },
	"availability-zone":        func(m *machine) string { return m.AvailabilityZone },
	"iam-instance-profile.arn": profileARN,
	"image-id":                 func(m *machine) string { return m.ImageID },
	"instance-id":              func(m *machine) string { return m.ID },
	"instance-state-code":      func(m *machine) string { return strconv.Itoa(EC2States[m.State]) },
	"instance-state-name":      func(m *machine) string { return m.State },
	"instance-type":            func(m *machine) string { return m.InstanceType },
	"ip-address":               func(m *machine) string { return m.PublicIP },
	"key-name":                 func(m *machine) string { return m.KeyName },
	"owner-id":                 func(m *machine) string { return m.Scope.Account },
	"platform-details":         func(m *machine) string { return m.Platform },
	"private-dns-name":         func(m *machine) string { return m.PrivateDNS },
	"private-ip-address":       func(m *machine) string { return m.PrivateIP },
	"reservation-id":           reservationID,
}

// ec2Filter gives the test of one filter: any of its values has to match.
func ec2Filter(name string, values []string) (func(*machine) bool, error) {
	tag, isTag := strings.CutPrefix(name, "tag:")
	get, known := ec2Keys[name]
	if !known && name != "tag-key" && (!isTag || tag == "") {
		return nil, ssmrun.Errorf(codeParameterValue, "The filter '%s' is invalid", clipped(name))
	}
	if len(values) == 0 {
		return nil, ssmrun.Errorf(codeParameterValue, "The filter '%s' has no value", clipped(name))
	}
	var patterns []*regexp.Regexp
	for _, v := range values {
		if len(v) > maxEC2FilterValue {
			return nil, ssmrun.Errorf(codeParameterValue, "The filter '%s' has a value of %d bytes; the most is %d", clipped(name), len(v), maxEC2FilterValue)
		}
		patterns = append(patterns, wildcard(v))
	}
	matches := func(s string) bool {
		return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(s) })
	}
	switch {
	case known:
		return func(m *machine) bool {
			s := get(m)
			return s != "" && matches(s)
		}, nil
	case isTag:
		return func(m *machine) bool {
			value, ok := m.tags[tag]
			return ok && matches(value)
		}, nil
	default:
		return func(m *machine) bool {
			for key := range m.tags {
				if matches(key) {
					return true
				}
			}
			return false
		}, nil
	}
}

// wildcard makes a pattern of a filter's value: * stands for any text, ? for
// one character, a backslash takes the meaning from the next.
func wildcard(value string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	escaped := false
	for _, r := range value {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '*':
			b.WriteString(".*")
		case r == '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	if escaped {
		b.WriteString(`\\`)
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String()) // all parts are quoted
}
