package provider

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"ssmrun/internal/testenv"
)

const actionType = "aws_ssm_send_command"

// client speaks the plugin protocol to a server, as Terraform does.
type client struct {
	t        testing.TB
	server   tfprotov6.ProviderServerWithActions
	provider tftypes.Object
	action   tftypes.Object
}

func newClient(t testing.TB, opts ...Option) *client {
	t.Helper()
	server, err := NewServer(opts...)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, server: server.(tfprotov6.ProviderServerWithActions)}
	schema, err := c.server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil || len(schema.Diagnostics) > 0 {
		t.Fatalf("the schema: %v, %v", err, schema.Diagnostics)
	}
	c.provider = schema.Provider.ValueType().(tftypes.Object)
	c.action = schema.ActionSchemas[actionType].Schema.ValueType().(tftypes.Object)
	return c
}

type values map[string]tftypes.Value

// object fills a configuration up with null, and blocks with none.
func (c *client) object(typ tftypes.Object, given values) *tfprotov6.DynamicValue {
	c.t.Helper()
	all := map[string]tftypes.Value{}
	for name, t := range typ.AttributeTypes {
		v, ok := given[name]
		switch block, isList := t.(tftypes.List); {
		case ok:
			all[name] = v
		case isList && block.ElementType.Is(tftypes.Object{}):
			all[name] = tftypes.NewValue(t, []tftypes.Value{})
		default:
			all[name] = tftypes.NewValue(t, nil)
		}
	}
	for name := range given {
		if typ.AttributeTypes[name] == nil {
			c.t.Fatalf("no argument %s", name)
		}
	}
	d, err := tfprotov6.NewDynamicValue(typ, tftypes.NewValue(typ, all))
	if err != nil {
		c.t.Fatal(err)
	}
	return &d
}

// block is a list of one block.
func (c *client) block(name string, given map[string]string) tftypes.Value {
	list := c.provider.AttributeTypes[name].(tftypes.List)
	typ := list.ElementType.(tftypes.Object)
	all := map[string]tftypes.Value{}
	for n, t := range typ.AttributeTypes {
		all[n] = tftypes.NewValue(t, nil)
		if v, ok := given[n]; ok {
			all[n] = str(v)
		}
	}
	return tftypes.NewValue(list, []tftypes.Value{tftypes.NewValue(typ, all)})
}

func (c *client) configure(given values) []*tfprotov6.Diagnostic {
	c.t.Helper()
	config := c.object(c.provider, given)
	v, err := c.server.ValidateProviderConfig(c.t.Context(), &tfprotov6.ValidateProviderConfigRequest{Config: config})
	if err != nil {
		c.t.Fatal(err)
	}
	if len(v.Diagnostics) > 0 {
		return v.Diagnostics
	}
	resp, err := c.server.ConfigureProvider(c.t.Context(), &tfprotov6.ConfigureProviderRequest{Config: config})
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.Diagnostics
}

func (c *client) validate(given values) []*tfprotov6.Diagnostic {
	c.t.Helper()
	resp, err := c.server.ValidateActionConfig(c.t.Context(), &tfprotov6.ValidateActionConfigRequest{ActionType: actionType, Config: c.object(c.action, given)})
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.Diagnostics
}

func (c *client) plan(given values) []*tfprotov6.Diagnostic {
	c.t.Helper()
	resp, err := c.server.PlanAction(c.t.Context(), &tfprotov6.PlanActionRequest{ActionType: actionType, Config: c.object(c.action, given)})
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.Diagnostics
}

// outcome is what an invocation told.
type outcome struct {
	mu       sync.Mutex
	progress []string
	diags    []*tfprotov6.Diagnostic
	ended    bool
	more     chan struct{}
	done     chan struct{}
}

func (o *outcome) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.progress, "\n") + "\n" + said(o.diags)
}

func (c *client) start(ctx context.Context, given values) *outcome {
	c.t.Helper()
	stream, err := c.server.InvokeAction(ctx, &tfprotov6.InvokeActionRequest{ActionType: actionType, Config: c.object(c.action, given)})
	if err != nil {
		c.t.Fatal(err)
	}
	o := &outcome{more: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(o.done)
		for e := range stream.Events {
			o.mu.Lock()
			switch e := e.Type.(type) {
			case tfprotov6.ProgressInvokeActionEventType:
				o.progress = append(o.progress, e.Message)
			case tfprotov6.CompletedInvokeActionEventType:
				o.diags, o.ended = e.Diagnostics, true
			}
			o.mu.Unlock()
			select {
			case o.more <- struct{}{}:
			default:
			}
		}
	}()
	return o
}

func (o *outcome) await(t testing.TB, text string) {
	t.Helper()
	limit := time.After(time.Minute)
	for !strings.Contains(o.text(), text) {
		select {
		case <-o.more:
		case <-o.done:
			if !strings.Contains(o.text(), text) {
				t.Fatalf("it ended without %q:\n%s", text, o.text())
			}
		case <-limit:
			t.Fatalf("no %q in a minute:\n%s", text, o.text())
		}
	}
}

func (c *client) invoke(given values) *outcome {
	c.t.Helper()
	o := c.start(c.t.Context(), given)
	<-o.done
	return o
}

func said(diags []*tfprotov6.Diagnostic) string {
	var b strings.Builder
	for _, d := range diags {
		at := ""
		if d.Attribute != nil {
			at = " at " + d.Attribute.String()
		}
		fmt.Fprintf(&b, "%s%s: %s\n%s\n", d.Severity, at, d.Summary, d.Detail)
	}
	return b.String()
}

func errorsIn(diags []*tfprotov6.Diagnostic) (n int) {
	for _, d := range diags {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			n++
		}
	}
	return n
}

func str(s string) tftypes.Value { return tftypes.NewValue(tftypes.String, s) }

func strs(list ...string) tftypes.Value {
	all := make([]tftypes.Value, len(list))
	for i, s := range list {
		all[i] = str(s)
	}
	return tftypes.NewValue(tftypes.List{ElementType: tftypes.String}, all)
}

func obj(members values) tftypes.Value {
	typ := tftypes.Object{AttributeTypes: map[string]tftypes.Type{}}
	all := map[string]tftypes.Value{}
	for k, v := range members {
		typ.AttributeTypes[k], all[k] = v.Type(), v
	}
	return tftypes.NewValue(typ, all)
}

func unknown(t tftypes.Type) tftypes.Value { return tftypes.NewValue(t, tftypes.UnknownValue) }

// settingsFor point the provider at a service, by its own arguments alone.
func (c *client) settingsFor(svc *testenv.Service, endpoint string) values {
	return values{
		"region": str(svc.Region), "access_key": str(svc.AccessKeyID), "secret_key": str(svc.SecretKey),
		"endpoints": c.block("endpoints", map[string]string{"ssm": endpoint, "sts": endpoint, "ec2": endpoint, "s3": endpoint}),
	}
}

func script(lines string, ids ...string) values {
	return values{"instance_ids": strs(ids...), "document_name": str("AWS-RunShellScript"), "parameters": obj(values{"commands": str(lines)})}
}

func (v values) with(name string, x tftypes.Value) values {
	out := values{name: x}
	for k, x := range v {
		if k != name {
			out[k] = x
		}
	}
	return out
}

func TestProtocol(t *testing.T) {
	t.Parallel()
	svc := testenv.Start(t, testenv.Options{Agents: 2, Buckets: []string{"logs"}, Documents: documents})
	ids := svc.InstanceIDs
	connected := func(t *testing.T) *client {
		c := newClient(t, WithLogger(slog.New(slog.DiscardHandler)))
		if diags := c.configure(c.settingsFor(svc, svc.Endpoint)); len(diags) > 0 {
			t.Fatal(said(diags))
		}
		return c
	}
	t.Run("group", func(t *testing.T) {
		t.Run("progress", func(t *testing.T) {
			t.Parallel()
			o := connected(t).invoke(script("sleep 0.3; echo swordfish-in-the-output; test swordfish", ids...))
			if len(o.diags) > 0 {
				t.Fatal(said(o.diags))
			}
			for i, want := range []string{`^Validated 2 instances and document AWS-RunShellScript$`, `^Sent AWS-RunShellScript to 2 instances: command \S+$`} {
				if !regexp.MustCompile(want).MatchString(o.progress[i]) {
					t.Errorf("line %d is %q", i, o.progress[i])
				}
			}
			last := o.progress[len(o.progress)-2:]
			if !strings.HasPrefix(last[0], "2 of 2 instances done") || !strings.HasPrefix(last[1], "Succeeded on 2 instances") {
				t.Errorf("the last lines are %q", last)
			}
			lacks(t, o.text(), "swordfish")
		})
		t.Run("stop", func(t *testing.T) {
			t.Parallel()
			c, pid := connected(t), filepath.Join(t.TempDir(), "pid")
			o := c.start(t.Context(), script("echo $$ > "+pid+".new; mv "+pid+".new "+pid+"; sleep 600", ids[0]))
			o.await(t, "Sent ")
			awaitFile(t, pid)
			id := commandID(t, o.text())
			if _, err := c.server.StopProvider(t.Context(), &tfprotov6.StopProviderRequest{}); err != nil {
				t.Fatal(err)
			}
			// When the stop is answered all has been said.
			o.mu.Lock()
			ended, diags := o.ended, o.diags
			o.mu.Unlock()
			if !ended {
				t.Fatal("the stop was answered before the invocation had ended")
			}
			contains(t, said(diags), "ERROR: Interrupted: the command was cancelled", id, "-invoke=")
			<-o.done
			if i := invocationOf(testenv.Context(t), t, svc.SSM(), id, ids[0]); i.Status != "Cancelled" {
				t.Errorf("the invocation is %s", i.Status)
			}
			b, err := os.ReadFile(pid)
			if err != nil {
				t.Fatal(err)
			}
			gone(t, strings.TrimSpace(string(b)))
			// One that comes after the stop sends nothing.
			late := c.invoke(script("true", ids[0]))
			contains(t, said(late.diags), "Interrupted before anything was sent")
			if diags := c.configure(c.settingsFor(svc, svc.Endpoint)); len(diags) > 0 {
				t.Fatal(said(diags))
			}
			if again := c.invoke(script("true", ids[0])); len(again.diags) > 0 {
				t.Error(said(again.diags))
			}
		})
		t.Run("terraform gone", func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			o := connected(t).start(ctx, script("sleep 600", ids[1]))
			o.await(t, "Sent ")
			cancel()
			<-o.done
			if i := invocationOf(testenv.Context(t), t, svc.SSM(), commandID(t, o.text()), ids[1]); i.Status != "Cancelled" {
				t.Errorf("the invocation is %s", i.Status)
			}
		})
		t.Run("plan warns", func(t *testing.T) {
			t.Parallel()
			c := connected(t)
			for name, test := range map[string]struct {
				given values
				want  []string
			}{
				"instances": {script("true", "i-0123456789abcdef0", "i-0123456789abcdef1"), []string{`WARNING at AttributeName("instance_ids")`, "i-0123456789abcdef0", "i-0123456789abcdef1", "checked again"}},
				"document":  {script("true", ids[0]).with("document_name", str("none-such")), []string{`WARNING at AttributeName("document_name")`, `"none-such" does not exist`, "checked again"}},
				"parameter": {script("true", ids[0]).with("parameters", obj(values{"comands": str("x")})), []string{`WARNING at AttributeName("parameters")`, "comands", "checked again"}},
				"bucket":    {script("true", ids[0]).with("output_s3_bucket", str("none-such")), []string{`WARNING at AttributeName("output_s3_bucket")`, `"none-such" does not exist`, "checked again"}},
				"timeout": {
					script("true", ids[0]).with("timeout", tftypes.NewValue(tftypes.Number, 7200)),
					[]string{`WARNING at AttributeName("timeout")`, "Timeout is 2h, but its default executionTimeout ends the script after 1h"},
				},
			} {
				diags := c.plan(test.given)
				if len(diags) != 1 {
					t.Errorf("%s: %d diagnostics", name, len(diags))
				}
				contains(t, said(diags), test.want...)
			}
			if diags := c.plan(script("true", ids[0])); len(diags) > 0 {
				t.Error(said(diags))
			}
		})
		t.Run("plan skips what is not known", func(t *testing.T) {
			t.Parallel()
			c, proxy := newClient(t), testenv.NewProxy(t, svc.Endpoint)
			if diags := c.configure(c.settingsFor(svc, proxy.URL)); len(diags) > 0 {
				t.Fatal(said(diags))
			}
			list := tftypes.List{ElementType: tftypes.String}
			for name, given := range map[string]values{
				"ids":           script("true", ids[0]).with("instance_ids", unknown(list)),
				"one id":        script("true", ids[0]).with("instance_ids", tftypes.NewValue(list, []tftypes.Value{str(ids[0]), unknown(tftypes.String)})),
				"document":      script("true", ids[0]).with("document_name", unknown(tftypes.String)),
				"parameters":    script("true", ids[0]).with("parameters", unknown(tftypes.DynamicPseudoType)),
				"one parameter": script("true", ids[0]).with("parameters", obj(values{"comands": unknown(tftypes.String)})),
				"bucket":        script("true", ids[0]).with("output_s3_bucket", unknown(tftypes.String)),
				"timeout":       script("true", ids[0]).with("timeout", unknown(tftypes.Number)),
				"wait":          script("true", ids[0]).with("wait_for_instances", unknown(tftypes.String)),
				"region":        script("true", "i-0123456789abcdef0").with("region", unknown(tftypes.String)),
			} {
				if diags := append(c.validate(given), c.plan(given)...); len(diags) > 0 {
					t.Errorf("%s: %s", name, said(diags))
				}
			}
			// What is known is checked all the same.
			partly := script("true").with("instance_ids", tftypes.NewValue(list, []tftypes.Value{str("i-12"), unknown(tftypes.String)}))
			contains(t, said(c.validate(partly)), `ERROR at AttributeName("instance_ids")`, "i-12")
			// Nobody is asked by a provider that does not know where it is.
			n := proxy.Seen("DescribeInstanceInformation")
			for _, unknownSetting := range []values{
				c.settingsFor(svc, proxy.URL).with("region", unknown(tftypes.String)),
				c.settingsFor(svc, proxy.URL).with("access_key", unknown(tftypes.String)),
				c.settingsFor(svc, proxy.URL).with("assume_role", unknown(c.provider.AttributeTypes["assume_role"])),
				c.settingsFor(svc, proxy.URL).with("endpoints", unknown(c.provider.AttributeTypes["endpoints"])),
			} {
				if diags := append(c.configure(unknownSetting), c.plan(script("true", "i-0123456789abcdef0"))...); len(diags) > 0 {
					t.Error(said(diags))
				}
			}
			if proxy.Seen("DescribeInstanceInformation") != n {
				t.Error("the service was asked although the provider's settings are not known")
			}
		})
		t.Run("checks are repeated at apply", func(t *testing.T) {
			t.Parallel()
			c := connected(t)
			for name, test := range map[string]struct {
				given values
				want  string
			}{
				"configuration": {script("true", ids[0]).with("timeout", tftypes.NewValue(tftypes.Number, 59)), "timeout is 59 seconds"},
				"service":       {script("true", ids[0]).with("document_name", str("none-such")), "Nothing was sent: check document_name"},
			} {
				o := c.invoke(test.given)
				if errorsIn(o.diags) != 1 {
					t.Errorf("%s: %s", name, said(o.diags))
				}
				contains(t, said(o.diags), test.want)
			}
		})
		t.Run("timeout", func(t *testing.T) {
			t.Parallel()
			for want, v := range map[int32]values{
				1800: script("true", ids[0]),
				600:  script("true", ids[0]).with("timeout", tftypes.NewValue(tftypes.Number, 600)),
			} {
				o := connected(t).invoke(v)
				if len(o.diags) > 0 {
					t.Fatal(said(o.diags))
				}
				out, err := svc.SSM().ListCommands(testenv.Context(t), &ssm.ListCommandsInput{CommandId: aws.String(commandID(t, o.text()))})
				if err != nil || len(out.Commands) != 1 || aws.ToInt32(out.Commands[0].TimeoutSeconds) != want {
					t.Errorf("want a delivery timeout of %d s: %+v, %v", want, out, err)
				}
			}
		})
		t.Run("values of every kind", func(t *testing.T) {
			t.Parallel()
			o := connected(t).invoke(values{"instance_ids": strs(ids[0]), "document_name": str("AWS-RunShellScript"), "parameters": obj(values{
				"commands":         tftypes.NewValue(tftypes.List{ElementType: tftypes.String}, []tftypes.Value{str("true"), str("pwd")}),
				"executionTimeout": tftypes.NewValue(tftypes.Number, 172800),
				"workingDirectory": tftypes.NewValue(tftypes.String, nil),
			})})
			if len(o.diags) > 0 {
				t.Error(said(o.diags))
			}
		})
	})
}
