package awsapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/control"
	"ssmrun/internal/gateway"
	"ssmrun/internal/identity"
	"ssmrun/internal/parameters"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newAPI is an API over a real store, with nobody connected.
func newAPI(t testing.TB) (*API, store.Store) {
	t.Helper()
	db, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "test.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	clock := func() time.Time { return now }
	c := control.New(control.Config{Store: db, Now: clock})
	c.Attach(gateway.New(gateway.Config{}))
	id, err := identity.Open(identity.Config{Dir: t.TempDir(), Account: "000000000000", Store: db, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := id.PrepareAccounts(t.Context(), []string{home.Account}, []store.Role{{Name: "r", Trust: identity.TrustPolicy(identity.ServiceSSM)}}); err != nil {
		t.Fatal(err)
	}
	p, err := parameters.New(parameters.Config{Store: db, Key: make([]byte, 32), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{
		Control: c, Store: db, Identity: id, Parameters: p, Now: clock, AgentVersion: "1.2.0",
		Logger: slog.New(slog.DiscardHandler), S3URL: func(string) string { return "http://127.0.0.1:8440" },
		Drop: func(string) {},
	}), db
}

func put(t testing.TB, db store.Store, list ...ssmrun.Instance) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		for i := range list {
			if err := tx.PutInstance(&list[i]); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

var home = ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}

func ask(t testing.TB, a *API, operation, body string, into any) {
	t.Helper()
	out, err := a.SSM(t.Context(), &Call{Operation: operation, Scope: home, Body: []byte(body), Answer: http.Header{}})
	if err != nil {
		t.Fatalf("%s %s: %v", operation, body, err)
	}
	b, err := json.Marshal(out)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
	CheckAnswer(t, operation, b)
}

// TestInformationPages: ten by default, and full pages where a filter passes few.
func TestInformationPages(t *testing.T) {
	t.Parallel()
	a, db := newAPI(t)
	var list []ssmrun.Instance
	var online []string
	for n := range 45 {
		i := ssmrun.Instance{ID: fmt.Sprintf("i-%017x", n), Scope: home, PlatformType: "Linux", LastPing: now.Add(-time.Hour)}
		if n%3 == 0 {
			i.LastPing = now
			online = append(online, i.ID)
		}
		list = append(list, i)
	}
	put(t, db, list...)
	pages := func(body string) [][]string {
		var all [][]string
		for token := ""; ; {
			var out struct {
				InstanceInformationList []struct{ InstanceId string }
				NextToken               string
			}
			in := body
			if token != "" {
				in = strings.Replace(body, "{", fmt.Sprintf(`{"NextToken":%q,`, token), 1)
				in = strings.Replace(in, ",}", "}", 1)
			}
			ask(t, a, "DescribeInstanceInformation", in, &out)
			var ids []string
			for _, i := range out.InstanceInformationList {
				ids = append(ids, i.InstanceId)
			}
			all = append(all, ids)
			if token = out.NextToken; token == "" {
				return all
			}
		}
	}
	var sizes []int
	for _, p := range pages("{}") {
		sizes = append(sizes, len(p))
	}
	if d := cmp.Diff([]int{10, 10, 10, 10, 5}, sizes); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
	got := pages(`{"Filters":[{"Key":"PingStatus","Values":["Online"]}],"MaxResults":10}`)
	if len(got) != 2 || len(got[0]) != 10 || !slices.Equal(slices.Concat(got...), online) {
		t.Errorf("those online: %v", got)
	}
}

func TestIsLatestVersion(t *testing.T) {
	t.Parallel()
	a, db := newAPI(t)
	version := func(n int, name, version string) ssmrun.Instance {
		return ssmrun.Instance{ID: fmt.Sprintf("i-%017x", n), Scope: home, AgentName: name, AgentVersion: version}
	}
	put(t, db, version(0, agentName, "1.2.0"), version(1, agentName, "1.1.9"), version(2, "amazon-ssm-agent", "3.3.9.0"),
		version(3, "amazon-ssm-agent", "3.3.10.0"), version(4, "", ""))
	var out struct {
		InstanceInformationList []struct{ IsLatestVersion bool }
	}
	ask(t, a, "DescribeInstanceInformation", "{}", &out)
	var got []bool
	for _, i := range out.InstanceInformationList {
		got = append(got, i.IsLatestVersion)
	}
	if d := cmp.Diff([]bool{true, false, false, true, false}, got); d != "" {
		t.Errorf("latest (-want +got):\n%s", d)
	}
}

func TestWildcard(t *testing.T) {
	t.Parallel()
	for pattern, c := range map[string]struct{ yes, no []string }{
		"a*":    {[]string{"a", "ab", "a\nb"}, []string{"", "ba"}},
		"?":     {[]string{"x", "ü"}, []string{"", "xx"}},
		`\*`:    {[]string{"*"}, []string{"x", `\*`}},
		`a\`:    {[]string{`a\`}, []string{"a"}},
		"a.b":   {[]string{"a.b"}, []string{"axb"}},
		"(a|b)": {[]string{"(a|b)"}, []string{"a"}},
		"":      {[]string{""}, []string{"x"}},
	} {
		for _, s := range c.yes {
			if !wildcard(pattern).MatchString(s) {
				t.Errorf("%q does not match %q", pattern, s)
			}
		}
		for _, s := range c.no {
			if wildcard(pattern).MatchString(s) {
				t.Errorf("%q matches %q", pattern, s)
			}
		}
	}
}

// TestMachinesMerge: whatever of an instance is known, by the operator, its
// agent or an activation, DescribeInstances tells of it once, and what the
// operator said of its state and profile holds.
func TestMachinesMerge(t *testing.T) {
	t.Parallel()
	a, db := newAPI(t)
	var accounts atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		// A new account and new ids each time: ids are unique in the store.
		n := accounts.Add(1)
		scope := ssmrun.Scope{Account: fmt.Sprintf("%012d", n), Region: "us-east-1"}
		ids := rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 8, rapid.ID[int]).Draw(rt, "ids")
		want := map[string][2]string{}
		err := db.Update(context.Background(), func(tx store.Tx) error {
			for _, i := range ids {
				id := fmt.Sprintf("i-%07x%d", n, i)
				told, agent, named := rapid.Bool().Draw(rt, "told"), rapid.Bool().Draw(rt, "agent"), rapid.Bool().Draw(rt, "named")
				state := rapid.SampledFrom(slices.Sorted(maps.Keys(EC2States))).Draw(rt, "state")
				profile := rapid.SampledFrom([]string{"", "told"}).Draw(rt, "profile")
				if told {
					want[id] = [2]string{state, profile}
					if err := tx.PutEC2Instance(&store.EC2Instance{ID: id, Scope: scope, State: state, Profile: profile}); err != nil {
						return err
					}
				}
				if agent {
					if !told {
						want[id] = [2]string{"running", "agent"}
					}
					if err := tx.PutInstance(&ssmrun.Instance{ID: id, Scope: scope, IamRole: "agent"}); err != nil {
						return err
					}
				}
				if named {
					usable := rapid.Bool().Draw(rt, "usable")
					if usable && !told && !agent {
						want[id] = [2]string{"running", "named"}
					}
					act := store.Activation{ID: "a" + id, Scope: scope, InstanceID: id, IamRole: "named", Limit: 1, ExpiresAt: now.Add(-time.Hour)}
					if usable {
						act.ExpiresAt = now.Add(time.Hour)
					}
					if err := tx.PutActivation(&act); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		got := map[string][2]string{}
		form := url.Values{"MaxResults": {"5"}}
		for {
			out, err := a.EC2(context.Background(), &Call{Operation: "DescribeInstances", Scope: scope, Answer: http.Header{}}, form)
			if err != nil {
				rt.Fatal(err)
			}
			r := out.(describeInstancesResponse)
			for _, res := range r.Reservations {
				i := res.Instances[0]
				if _, twice := got[i.ID]; twice {
					rt.Fatalf("%s comes twice", i.ID)
				}
				profile := ""
				if i.Profile != nil {
					_, profile, _ = strings.Cut(i.Profile.ARN, "/")
				}
				got[i.ID] = [2]string{i.StateName, profile}
			}
			if r.NextToken == "" {
				break
			}
			form.Set("NextToken", r.NextToken)
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatalf("instances (-want +got):\n%s", d)
		}
		for id, w := range want {
			out, err := a.EC2(context.Background(), &Call{Operation: "DescribeInstances", Scope: scope, Answer: http.Header{}}, url.Values{"InstanceId.1": {id}})
			if err != nil || out.(describeInstancesResponse).Reservations[0].Instances[0].StateName != w[0] {
				rt.Fatalf("%s by its id: %+v, %v", id, out, err)
			}
		}
	})
}

// TestAgentsAssumeNothing: the keys of an agent are a role's already.
func TestAgentsAssumeNothing(t *testing.T) {
	t.Parallel()
	a, _ := newAPI(t)
	agent := identity.Principal{ARN: "arn:aws:sts::000000000000:assumed-role/r/i-0123456789abcdef0", Account: home.Account, InstanceID: "i-0123456789abcdef0"}
	form := url.Values{"RoleArn": {"arn:aws:iam::000000000000:role/Ops"}, "RoleSessionName": {"ann"}}
	_, err := a.STS(t.Context(), &Call{Operation: "AssumeRole", Caller: agent, Scope: home, Answer: http.Header{}}, form)
	if ssmrun.ErrorCode(err) != ssmrun.CodeAccessDenied || !strings.Contains(ssmrun.ErrorMessage(err), "sts:AssumeRole on resource: arn:aws:iam::000000000000:role/Ops") {
		t.Errorf("got %v", err)
	}
	for name, form := range map[string]url.Values{
		"nothing":  {},
		"no time":  {"RoleArn": {"arn:aws:iam::000000000000:role/Ops"}, "RoleSessionName": {"ann"}, "DurationSeconds": {"long"}},
		"an array": {"RoleArn": {"arn:aws:iam::000000000000:role/Ops"}, "RoleSessionName": {"ann"}, "DurationSeconds": {"[900]"}},
		"a part":   {"RoleArn": {"arn:aws:iam::000000000000:role/Ops"}, "RoleSessionName": {"ann"}, "DurationSeconds": {"900.5"}},
	} {
		_, err := a.STS(t.Context(), &Call{Operation: "AssumeRole", Caller: identity.Principal{Account: home.Account}, Scope: home, Answer: http.Header{}}, form)
		if ssmrun.ErrorCode(err) != ssmrun.CodeValidation {
			t.Errorf("%s: %v", name, err)
		}
	}
}
