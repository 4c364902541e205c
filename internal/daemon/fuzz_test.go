package daemon

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/awsapi"
	"ssmrun/internal/identity"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/store"
	"ssmrun/internal/wire"
)

// newFront is a service without its listener's loop: requests go straight to
// its handler. Its S3 is elsewhere, because a process can have one only.
func newFront(t testing.TB) (*Daemon, *front) {
	t.Helper()
	d, err := New(t.Context(), Config{Listen: "127.0.0.1:0", Data: t.TempDir(), S3Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, d.front()
}

// signed is a request that the service's key has signed.
func (d *Daemon) signed(service, target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, d.info.Endpoint+"/", strings.NewReader(body))
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	root := d.identity.Root()
	sigv4.Sign(r, []byte(body), sigv4.Keys{AccessKeyID: root.AccessKeyID, SecretAccessKey: root.Secret}, service, d.info.Region, time.Now())
	return r
}

// FuzzQuery sends the Query services any form: the answer is XML, and never a
// fault of the service.
func FuzzQuery(f *testing.F) {
	d, front := newFront(f)
	for _, body := range []string{
		"", "Action=", "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-01234567&InstanceId.3=i-0123456789abcdef0",
		"Action=DescribeInstances&Filter.1.Name=tag:a&Filter.1.Value.1=b*%3F\\&Filter.7.Name=instance-state-code&Filter.7.Value.2=16&MaxResults=5&NextToken=x",
		"Action=DescribeInstances&Filter.1.Name=%00&Filter.x=1", "Action=DescribeInstances&Version=1", "Action=%ff%00<&MaxResults=99999999999999999999",
		"Action=AssumeRole&RoleArn=arn:aws:iam::000000000000:role/Ops&RoleSessionName=ann&DurationSeconds=900&Tags.member.1.Key=a", "Action=AssumeRole&DurationSeconds=[",
		"Action=GetCallerIdentity&Version=2011-06-15", "a;b&%zz",
		"Version=2010-05-08&Action=CreateRole&RoleName=a&AssumeRolePolicyDocument=%7B%22Statement%22%3A%7B%7D%7D&Tags.member.1.Key=a&Tags.member.1.Value=%01",
		"Version=2010-05-08&Action=ListRoles&MaxItems=1&Marker=x.y&PathPrefix=/", "Version=2010-05-08&Action=GetRole&RoleName=AmazonEC2RunCommandRoleForManagedInstances",
		"Version=2010-05-08&Action=AttachRolePolicy&RoleName=AmazonEC2RunCommandRoleForManagedInstances&PolicyArn=arn:aws:iam::aws:policy/x",
		"Version=2010-05-08&Action=UntagRole&RoleName=AmazonEC2RunCommandRoleForManagedInstances&TagKeys.member.1=a", "Version=2010-05-08&Action=ListRoleTags&RoleName=%00&MaxItems=1e9",
	} {
		f.Add(body, true)
		f.Add(body, false)
	}
	f.Fuzz(func(t *testing.T, body string, ec2 bool) {
		service := "sts"
		switch {
		case strings.Contains(body, "Version=2010-05-08"):
			service = "iam"
		case ec2:
			service = "ec2"
		}
		w := httptest.NewRecorder()
		front.ServeHTTP(w, d.signed(service, "", body))
		if w.Code >= 500 {
			t.Fatalf("%s %q: %d %s", service, body, w.Code, w.Body)
		}
		x := xml.NewDecoder(w.Body)
		for {
			_, err := x.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s %q is answered with what is no XML: %v", service, body, err)
			}
		}
		if front.bodies.Load() != 0 {
			t.Fatal("the body is still counted")
		}
	})
}

// FuzzAgentCall has an agent call any of its operations with any body.
func FuzzAgentCall(f *testing.F) {
	d, _ := newFront(f)
	ops := []string{
		wire.OpRegisterManagedInstance, wire.OpRequestManagedInstanceRoleToken, wire.OpUpdateManagedInstancePublicKey,
		wire.OpUpdateInstanceInformation, wire.OpListInstanceAssociations,
	}
	for n := range ops {
		f.Add(uint8(n), []byte(`{"InstanceId":"mi-0123456789abcdef0","AgentName":"amazon-ssm-agent","AgentVersion":"1.0.0.0","Fingerprint":"x","ActivationId":"00000000-0000-4000-8000-999000999000","ActivationCode":"x","PublicKey":"AAAA","PublicKeyType":"Rsa","NewPublicKey":"AAAA","NewPublicKeyType":"Rsa"}`))
		f.Add(uint8(n), []byte(""))
		f.Add(uint8(n), []byte("[]"))
	}
	agent := identity.Principal{Account: "000000000000", Region: "us-east-1", InstanceID: "mi-0123456789abcdef0"}
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		op := ops[int(n)%len(ops)]
		out, err := d.gateway.Call(t.Context(), op, agent, body)
		if awsapi.Internal(err) {
			t.Fatalf("%s %q: %v", op, body, err)
		}
		if _, err := json.Marshal(out); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzMessage has an agent call any operation of the message delivery service with
// any body. The agent hangs up on polls at once.
func FuzzMessage(f *testing.F) {
	d, _ := newFront(f)
	const id = "mi-0123456789abcdef0"
	scope := ssmrun.Scope{Account: DefaultAccount, Region: DefaultRegion}
	err := d.store.Update(f.Context(), func(tx store.Tx) error { return tx.PutInstance(&ssmrun.Instance{ID: id, Scope: scope}) })
	if err != nil {
		f.Fatal(err)
	}
	ops := []string{
		wire.OpGetMessages, wire.OpAcknowledgeMessage, wire.OpSendReply, wire.OpFailMessage, wire.OpDeleteMessage, wire.OpGetEndpoint, "",
	}
	for n := range ops {
		f.Add(uint8(n), []byte(`{"Destination":"`+id+`","MessagesRequestId":"r","VisibilityTimeoutInSeconds":10,"MessageId":"aws.ssm.c.`+id+`","ReplyId":"r","FailureType":"x",`+
			`"Payload":"{\"documentStatus\":\"Success\",\"runtimeStatus\":{\"a\":{\"status\":\"Failed\",\"code\":1,\"startDateTime\":\"x\"}}}"}`))
		f.Add(uint8(n), []byte(`{"Destination":"i-0123456789abcdef0","MessageId":"aws.ssm..","Payload":"[]"}`))
		f.Add(uint8(n), []byte(""))
		f.Add(uint8(n), []byte("[]"))
	}
	agent := identity.Principal{Account: DefaultAccount, Region: DefaultRegion, InstanceID: id, Role: identity.DefaultRole, Service: identity.ServiceSSM}
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		op := ops[int(n)%len(ops)]
		ctx := t.Context()
		if op == wire.OpGetMessages {
			gone, cancel := context.WithCancel(ctx)
			cancel()
			ctx = gone
		}
		out, err := d.gateway.Message(ctx, op, agent, "http://127.0.0.1", body)
		if awsapi.Internal(err) || ssmrun.ErrorCode(err) == ssmrun.CodeAccessDenied {
			t.Fatalf("%s %q: %v", op, body, err)
		}
		if _, err := json.Marshal(out); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzResourceGroup reads any --resource-group: a group that is accepted has
// targets with a key and values.
func FuzzResourceGroup(f *testing.F) {
	for _, s := range []string{"web=tag:a=b,c;tag-key=d", "web=", "=", "a=b=c;", "web=tag:=x", "a=tag:b=,", "a=tag-key=b;;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		groups, err := resourceGroups([]string{s})
		if err != nil {
			return
		}
		for name, targets := range groups {
			if name == "" || len(groups) != 1 || len(targets) == 0 {
				t.Fatalf("%q gives %+v", s, groups)
			}
			for _, target := range targets {
				if target.Key == "" || target.Key == "tag:" || len(target.Values) == 0 {
					t.Fatalf("%q gives %+v", s, target)
				}
			}
		}
	})
}

// FuzzEC2Instances reads any file of --ec2-instances: what is accepted has ids of
// EC2's, each once, in a scope that is served.
func FuzzEC2Instances(f *testing.F) {
	for _, s := range []string{
		`[{"InstanceId":"i-01234567","Tags":{"a":"b"},"LaunchTime":"2026-01-31T12:00:00Z"}]`, `[]`, `null`, `[null]`, `{}`, `[1]`, `[{"InstanceId":"i-01234567"},{"InstanceId":"i-01234567"}]`,
		`[{"instanceid":"i-01234567","InstanceId":"i-01234567"}]`, `[{"InstanceId":"i-0123456789abcdef0","PrivateIpAddress":"x"}] x`,
	} {
		f.Add([]byte(s))
	}
	scope := ssmrun.Scope{Account: DefaultAccount, Region: DefaultRegion}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseEC2Instances(b, []ssmrun.Scope{scope})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, i := range list {
			if seen[i.ID] || !ssmrun.ValidInstanceID(i.ID) || i.Scope != scope || i.State == "" {
				t.Fatalf("%q gives %+v", b, i)
			}
			seen[i.ID] = true
		}
	})
}
