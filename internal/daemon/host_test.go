package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHostNames(t *testing.T) {
	t.Parallel()
	n := hostNames{"lab.test"}
	for name, want := range map[string]host{
		"ssm.lab.test":                           {"ssm.lab.test", "ssm", "", ""},
		"ssm.us-east-1.lab.test:8443":            {"ssm.us-east-1.lab.test", "ssm", "us-east-1", ""},
		"SSM.us-East-1.LAB.test.":                {"ssm.us-east-1.lab.test", "ssm", "us-east-1", ""},
		"ssmmessages.eu-west-1.lab.test":         {"ssmmessages.eu-west-1.lab.test", "ssmmessages", "eu-west-1", ""},
		"iam.lab.test":                           {"iam.lab.test", "iam", "", ""},
		"s3.us-gov-west-1.lab.test":              {"s3.us-gov-west-1.lab.test", "s3", "us-gov-west-1", ""},
		"logs.s3.lab.test":                       {"logs.s3.lab.test", "s3", "", "logs"},
		"logs.of.web.s3.us-east-1.lab.test:443":  {"logs.of.web.s3.us-east-1.lab.test", "s3", "us-east-1", "logs.of.web"},
		"us-east-1.s3.lab.test":                  {"us-east-1.s3.lab.test", "s3", "", "us-east-1"},
		"ssm.s3.us-east-1.lab.test":              {"ssm.s3.us-east-1.lab.test", "s3", "us-east-1", "ssm"},
		"lab.test":                               {},
		"ssmrun.lab.test":                        {},
		"us-east-1.lab.test":                     {},
		"logs.us-east-1.lab.test":                {},
		"ec2messages.nowhere.lab.test":           {},
		"x.ssm.us-east-1.lab.test":               {},
		"ssm.lab.test.evil.test":                 {},
		"ssm.notlab.test":                        {},
		"ssmlab.test":                            {},
		"127.0.0.1:8443":                         {},
		"[::1]:8443":                             {},
		"":                                       {},
		".lab.test":                              {},
		":443":                                   {},
		"a.s3.lab.test.s3.us-east-1.lab.test:80": {"a.s3.lab.test.s3.us-east-1.lab.test", "s3", "us-east-1", "a.s3.lab.test"}, // the endpoint refuses it: TestVirtualHosts
	} {
		if diff := cmp.Diff(want, n.read(name), cmp.AllowUnexported(host{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := (hostNames{}).read("ssm.lab.test"); got != (host{}) {
		t.Errorf("without a domain: %+v", got)
	}
}

// FuzzHostNames: whatever a client writes there, it names a known service or
// says nothing, and a bucket goes with s3 only.
func FuzzHostNames(f *testing.F) {
	for _, s := range []string{"ssm.us-east-1.lab.test:443", "a.b.s3.lab.test", "..lab.test", "[::1]:1", ":::", "s3..lab.test."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h := hostNames{"lab.test"}.read(s)
		if h.service == "" && h != (host{}) || h.service != "" && !services[h.service] || h.bucket != "" && h.service != "s3" {
			t.Fatalf("%q is %+v", s, h)
		}
	})
}
