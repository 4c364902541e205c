package agent

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/agent/state"
	"ssmrun/internal/agentlink"
	"ssmrun/internal/wire"
)

func TestRegistration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must(t, os.Remove(filepath.Join(b.dir, "registration.json")))
	// An earlier attempt's answer was lost: this one comes from the same host.
	earlier := testIdentity()
	must(t, state.Write(filepath.Join(b.dir, "registration.new.json"), earlier))
	b.cfg.ActivationFile = filepath.Join(t.TempDir(), "activation.json")
	must(t, state.WriteActivation(b.cfg.ActivationFile, state.Activation{ID: b.srv.ActivationID, Code: b.srv.ActivationCode, Region: "us-east-1"}))
	r := b.start()
	b.srv.WaitKind(wire.OpRegisterManagedInstance, 0)
	for _, gone := range []string{b.cfg.ActivationFile, filepath.Join(b.dir, "registration.new.json")} {
		if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
	path := filepath.Join(b.dir, "registration.json")
	var id agentlink.Identity
	must(t, state.Read(path, &id))
	info, err := os.Stat(path)
	must(t, err)
	if id.InstanceID != b.srv.InstanceID || id.Region != "us-east-1" || id.Fingerprint != earlier.Fingerprint || info.Mode().Perm() != 0o600 {
		t.Errorf("registration %s %s %s, mode %v", id.InstanceID, id.Region, id.Fingerprint, info.Mode())
	}
	// It is needed once only.
	r.stop()
	b.start()
	n := 0
	for _, e := range b.srv.Events() {
		if e.Kind == wire.OpRegisterManagedInstance {
			n++
		}
	}
	if n != 1 {
		t.Errorf("registered %d times", n)
	}
}

func TestRegistrationThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*bench)
		want   string
	}{
		"wrong code":    {func(b *bench) { b.cfg.Activation.Code = "a wrong code of some length" }, "InvalidActivation"},
		"no activation": {func(b *bench) { b.cfg.Activation = state.Activation{} }, "not registered"},
		"no file":       {func(b *bench) { b.cfg.Activation = state.Activation{}; b.cfg.ActivationFile = "/no/such/file" }, "not registered"},
		"no region":     {func(b *bench) { b.cfg.Activation.Region = "" }, "region"},
		"broken registration": {func(b *bench) {
			must(t, os.WriteFile(filepath.Join(b.dir, "registration.json"), []byte("{"), 0o600))
		}, "registration.json"},
	} {
		b := setup(t)
		must(t, os.Remove(filepath.Join(b.dir, "registration.json")))
		b.cfg.Activation = state.Activation{ID: b.srv.ActivationID, Code: b.srv.ActivationCode, Region: "us-east-1"}
		tt.change(b)
		r := b.startAlone()
		<-r.done
		if r.err == nil || !strings.Contains(r.err.Error(), tt.want) || strings.Contains(r.err.Error(), "wrong code of") {
			t.Errorf("%s: %v", name, r.err)
		}
	}
}

func TestRegistrationWaitsForTheService(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must(t, os.Remove(filepath.Join(b.dir, "registration.json")))
	b.cfg.Activation = state.Activation{ID: b.srv.ActivationID, Code: b.srv.ActivationCode, Region: "us-east-1"}
	file := filepath.Join(t.TempDir(), "endpoint.json")
	b.cfg.Endpoint = EndpointFile(file)
	b.startAlone() // there is no endpoint file yet
	must(t, state.WriteEndpoint(file, state.NewEndpoint(b.srv.URL(), b.srv.URL(), "us-east-1", time.Now())))
	b.srv.WaitKind("open", 0)
	if e := b.run(script(t, "true")); e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("got %+v", e.Reply)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	good := []string{"--endpoint", "http://127.0.0.1:1"}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "--endpoint"},
		{[]string{"--endpoint", "http://h", "--endpoint-file", "f"}, "--endpoint"},
		{append(good, "--service-domain", "amazonaws.com"), "--service-domain"},
		{[]string{"--service-domain", "https://h/"}, "--service-domain"},
		{append(good, "--ssmmessages-endpoint", "h:1"), "--ssmmessages-endpoint: "},
		{append(good, "--ca-file", "/no/such.pem"), "--ca-file: "},
		{[]string{"--endpoint", "127.0.0.1:1"}, "--endpoint: "},
		{append(good, "--s3-endpoint", "x"), "--s3-endpoint: "},
		{append(good, "--activation-id", "x"), "--activation-code"},
		{append(good, "--activation-id", "x", "--activation-code", "y", "--activation-file", "z"), "--activation-file"},
		{append(good, "--workers", "0"), "--workers"},
		{append(good, "--output-limit", "0"), "--output-limit"},
		{append(good, "--orphan-grace", "-1s"), "--orphan-grace"},
		{append(good, "--log-level", "loud"), "loud"},
		{append(good, "word"), "word"},
		{append(good, "--no-such-flag"), "no-such-flag"},
	} {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), tt.args, nil, &out, &errs); code != ExitUsage || !strings.Contains(errs.String(), tt.want) || out.Len() > 0 {
			t.Errorf("%q: exit %d\nstdout %s\nstderr %s", tt.args, code, &out, &errs)
		}
	}
	var out, errs bytes.Buffer
	if code := Main(t.Context(), []string{"--help"}, nil, &out, &errs); code != ExitOK || !strings.Contains(out.String(), "-activation-file") || errs.Len() > 0 {
		t.Errorf("--help: exit %d, %s%s", code, &out, &errs)
	}
	cfg, err := parseFlags(append(good, "--state", "s", "--local", "--path", "/p", "--work-dir", "w", "--region", "r", "--home", "/h", "--workers", "2", "--queue", "3", "--log-level", "debug"), &out, &errs)
	must(t, err)
	if !cfg.Local || cfg.Path != "/p" || cfg.WorkDir != "w" || cfg.Region != "r" || cfg.Home != "/h" || cfg.Workers != 2 || cfg.Queue != 3 || cfg.StateDir != "s" {
		t.Errorf("config %+v", cfg)
	}
	for _, tt := range []struct {
		args []string
		want map[string]string
	}{
		{good, map[string]string{"ssm": good[1], "ssmmessages": good[1], "ec2messages": good[1], "s3": good[1]}},
		{[]string{"--endpoint", "https://ssm.eu-west-1.amazonaws.com"}, map[string]string{"s3": ""}},
		{append(good, "--s3-endpoint", "http://s3:1", "--ssmmessages-endpoint", "https://m"), map[string]string{"ssm": good[1], "ssmmessages": "https://m", "s3": "http://s3:1"}},
		{[]string{"--service-domain", "amazonaws.com"}, map[string]string{
			"ssm": "https://ssm.eu-west-1.amazonaws.com", "ssmmessages": "https://ssmmessages.eu-west-1.amazonaws.com",
			"ec2messages": "https://ec2messages.eu-west-1.amazonaws.com", "s3": "",
		}},
		{[]string{"--service-domain", "Lab.test:8443", "--ec2messages-endpoint", "http://e"}, map[string]string{
			"ssm": "https://ssm.eu-west-1.lab.test:8443", "ec2messages": "http://e", "s3": "https://s3.eu-west-1.lab.test:8443",
		}},
	} {
		cfg, err := parseFlags(tt.args, &out, &errs)
		must(t, err)
		for service, want := range tt.want {
			if got, err := cfg.endpoint(service, "eu-west-1")(); err != nil || got != want {
				t.Errorf("%q: %s is at %s, %v; want %s", tt.args, service, got, err, want)
			}
		}
	}
	b := setup(t)
	b.start()
	if code := Main(t.Context(), append(good, "--state", b.dir), nil, &out, &errs); code != ExitLocked {
		t.Errorf("locked folder: exit %d", code)
	}
}

func TestPlatform(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "os-release")
	must(t, os.WriteFile(path, []byte("PRETTY_NAME=\"x\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\n"), 0o600))
	if name, version := osRelease("/no/such", path); name != "Debian GNU/Linux" || version != "12" {
		t.Errorf("got %q %q", name, version)
	}
	if p := HostPlatform(); p.Type == "" || p.ComputerName == "" {
		t.Errorf("host: %+v", p)
	}
}
