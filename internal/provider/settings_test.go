package provider

import (
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"ssmrun/internal/testenv"
)

// clearEnv takes away what this machine has of AWS's variables.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
		"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("HOME", t.TempDir())
}

// TestSettings changes the environment, and is not parallel for that.
func TestSettings(t *testing.T) {
	svc := testenv.Start(t, testenv.Options{Agents: 1, Buckets: []string{"logs"}})
	id := svc.InstanceIDs[0]
	run := func(t *testing.T, c *client, settings values) *outcome {
		t.Helper()
		if diags := c.configure(settings); errorsIn(diags) > 0 {
			return &outcome{diags: diags}
		}
		return c.invoke(script("true", id))
	}
	works := func(t *testing.T, c *client, settings values) {
		t.Helper()
		if o := run(t, c, settings); errorsIn(o.diags) > 0 {
			t.Fatal(said(o.diags))
		}
	}
	fails := func(t *testing.T, c *client, settings values, wants ...string) {
		t.Helper()
		o := run(t, c, settings)
		if errorsIn(o.diags) == 0 {
			t.Fatalf("it works, without %q", wants)
		}
		contains(t, said(o.diags), wants...)
		lacks(t, o.text(), "Sent ")
	}

	t.Run("environment", func(t *testing.T) {
		clearEnv(t)
		t.Setenv("AWS_ACCESS_KEY_ID", svc.AccessKeyID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", svc.SecretKey)
		t.Setenv("AWS_REGION", svc.Region)
		t.Setenv("AWS_ENDPOINT_URL", svc.Endpoint)
		works(t, newClient(t), nil)
		// That of the one service goes before that of all.
		t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
		t.Setenv("AWS_ENDPOINT_URL_SSM", svc.Endpoint)
		works(t, newClient(t), nil)
		t.Setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1")
		fails(t, newClient(t), values{"max_retries": tftypes.NewValue(tftypes.Number, 1)}, "The address comes from the environment variable AWS_ENDPOINT_URL_SSM")
	})
	t.Run("arguments go before the environment", func(t *testing.T) {
		clearEnv(t)
		t.Setenv("AWS_ACCESS_KEY_ID", "AKIAWRONGWRONGWRONG1")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
		t.Setenv("AWS_REGION", "eu-central-1")
		t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
		c := newClient(t)
		works(t, c, c.settingsFor(svc, svc.Endpoint))
	})
	t.Run("profile", func(t *testing.T) {
		clearEnv(t)
		dir := t.TempDir()
		config, credentials := filepath.Join(dir, "config"), filepath.Join(dir, "credentials")
		testenv.WriteFile(t, config, fmt.Sprintf("[profile own]\nregion = %s\nendpoint_url = %s\n", svc.Region, svc.Endpoint), 0o600)
		testenv.WriteFile(t, credentials, fmt.Sprintf("[own]\naws_access_key_id = %s\naws_secret_access_key = %s\n", svc.AccessKeyID, svc.SecretKey), 0o600)
		works(t, newClient(t), values{"profile": str("own"), "shared_config_files": strs(config), "shared_credentials_files": strs(credentials)})
		fails(t, newClient(t), values{"profile": str("other"), "shared_config_files": strs(config), "shared_credentials_files": strs(credentials)}, "other")
	})
	t.Run("accounts", func(t *testing.T) {
		clearEnv(t)
		c := newClient(t)
		set := func(ids ...string) tftypes.Value {
			all := make([]tftypes.Value, len(ids))
			for i, id := range ids {
				all[i] = str(id)
			}
			return tftypes.NewValue(tftypes.Set{ElementType: tftypes.String}, all)
		}
		base := c.settingsFor(svc, svc.Endpoint)
		works(t, c, base.with("allowed_account_ids", set(svc.AccountID)))
		works(t, c, base.with("forbidden_account_ids", set("111111111111")))
		fails(t, c, base.with("allowed_account_ids", set("111111111111")), "Account not allowed", svc.AccountID)
		fails(t, c, base.with("forbidden_account_ids", set(svc.AccountID)), "Account not allowed", svc.AccountID)
		fails(t, c, base.with("forbidden_account_ids", set("1")).with("allowed_account_ids", set("2")), "Conflicting settings", "use one of them")
		fails(t, c, base.with("allowed_account_ids", set("2")).with("skip_requesting_account_id", tftypes.NewValue(tftypes.Bool, true)), "Conflicting settings", "skip_requesting_account_id")
		works(t, c, base.with("skip_credentials_validation", tftypes.NewValue(tftypes.Bool, false)))
	})
	t.Run("keys come in pairs", func(t *testing.T) {
		clearEnv(t)
		c := newClient(t)
		for name, want := range map[string]string{"access_key": "secret_key is not", "secret_key": "access_key is not", "token": "set access_key and secret_key too"} {
			fails(t, c, values{"region": str("us-east-1"), name: str("value-of-the-key")}, want)
		}
	})
	t.Run("no region", func(t *testing.T) {
		clearEnv(t)
		c := newClient(t)
		s := c.settingsFor(svc, svc.Endpoint)
		delete(s, "region")
		fails(t, c, s, "No region", "AWS_REGION")
	})
	t.Run("unknown region", func(t *testing.T) {
		clearEnv(t)
		c := newClient(t)
		fails(t, c, values{"region": str("us-eats-1"), "access_key": str("AKIA"), "secret_key": str("x")}, "Unknown region", `"us-eats-1"`, "skip_region_validation")
		// A service of one's own has regions of its own.
		fails(t, c, c.settingsFor(svc, svc.Endpoint).with("region", str("cellar-1")), "cellar-1", "Nothing was sent")
	})
	t.Run("endpoint that does not answer", func(t *testing.T) {
		clearEnv(t)
		c := newClient(t)
		fails(t, c, c.settingsFor(svc, "http://127.0.0.1:1").with("max_retries", tftypes.NewValue(tftypes.Number, 1)),
			"http://127.0.0.1:1", "connection refused", "endpoints { ssm } of the provider")
	})
	t.Run("bucket", func(t *testing.T) {
		clearEnv(t)
		c := newClient(t)
		if diags := c.configure(c.settingsFor(svc, svc.Endpoint)); len(diags) > 0 {
			t.Fatal(said(diags))
		}
		o := c.invoke(script("echo kept", id).with("output_s3_bucket", str("logs")))
		if len(o.diags) > 0 {
			t.Error(said(o.diags))
		}
		// An address cannot take the bucket's name in front, a host name can.
		for name, test := range map[string]struct {
			style tftypes.Value
			host  string
		}{
			"by itself": {tftypes.NewValue(tftypes.Bool, nil), "s3.example.invalid"},
			"path":      {tftypes.NewValue(tftypes.Bool, true), "s3.example.invalid"},
			"host":      {tftypes.NewValue(tftypes.Bool, false), "logs.s3.example.invalid"},
		} {
			p := newForwardProxy(t, svc.Endpoint)
			c := newClient(t)
			if diags := c.configure(c.settingsFor(svc, svc.Endpoint).with("endpoints", c.block("endpoints", map[string]string{"ssm": svc.Endpoint, "ec2": svc.Endpoint, "s3": "http://s3.example.invalid"})).
				with("http_proxy", str(p.url)).with("https_proxy", str(p.url)).with("s3_use_path_style", test.style)); len(diags) > 0 {
				t.Fatal(said(diags))
			}
			c.plan(script("true", id).with("output_s3_bucket", str("logs")))
			if got := p.hosts(); got != test.host {
				t.Errorf("%s: the bucket was looked for at %q", name, got)
			}
		}
	})
	t.Run("certificate", func(t *testing.T) {
		clearEnv(t)
		u, err := url.Parse(svc.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		https := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host
		}})
		https.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
		https.StartTLS()
		t.Cleanup(https.Close)
		bundle := filepath.Join(t.TempDir(), "ca.pem")
		testenv.WriteFile(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw})), 0o600)
		c := newClient(t)
		s := c.settingsFor(svc, https.URL).with("max_retries", tftypes.NewValue(tftypes.Number, 1))
		fails(t, c, s, "certificate")
		works(t, newClient(t), s.with("insecure", tftypes.NewValue(tftypes.Bool, true)))
		works(t, newClient(t), s.with("custom_ca_bundle", str(bundle)))
		t.Setenv("AWS_CA_BUNDLE", bundle)
		works(t, newClient(t), s)
	})
	t.Run("proxy", func(t *testing.T) {
		clearEnv(t)
		p := newForwardProxy(t, svc.Endpoint)
		c := newClient(t)
		// Only the proxy knows this host.
		s := c.settingsFor(svc, "http://ssm.example.invalid").with("max_retries", tftypes.NewValue(tftypes.Number, 1))
		works(t, c, s.with("http_proxy", str(p.url)).with("https_proxy", str(p.url)))
		fails(t, newClient(t), s.with("http_proxy", str(p.url)).with("https_proxy", str(p.url)).with("no_proxy", str(".invalid")), "ssm.example.invalid")
		t.Setenv("HTTP_PROXY", p.url)
		works(t, newClient(t), s)
	})
	t.Run("AWS's endpoints", func(t *testing.T) {
		clearEnv(t)
		yes := tftypes.NewValue(tftypes.Bool, true)
		for host, settings := range map[string]values{
			"ssm.eu-west-1.amazonaws.com:443":      {},
			"ssm-fips.us-east-1.amazonaws.com:443": {"region": str("us-east-1"), "use_fips_endpoint": yes},
			"ssm.eu-west-1.api.aws:443":            {"use_dualstack_endpoint": yes},
		} {
			p := newForwardProxy(t, "")
			all := values{"region": str("eu-west-1"), "access_key": str("AKIAIOSFODNN7EXAMPLE"), "secret_key": str("x"), "https_proxy": str(p.url), "max_retries": tftypes.NewValue(tftypes.Number, 1)}
			maps.Copy(all, settings)
			fails(t, newClient(t), all, "Nothing was sent")
			if !strings.Contains(p.hosts(), host) {
				t.Errorf("%s was not called, but %q", host, p.hosts())
			}
		}
	})
	t.Run("retries", func(t *testing.T) {
		clearEnv(t)
		for _, n := range []int{1, 2} {
			proxy := testenv.NewProxy(t, svc.Endpoint)
			proxy.Always("DescribeDocument", testenv.Break)
			c := newClient(t)
			fails(t, c, c.settingsFor(svc, proxy.URL).with("max_retries", tftypes.NewValue(tftypes.Number, n)).with("retry_mode", str("standard")), "DescribeDocument")
			if seen := proxy.Seen("DescribeDocument"); seen != n {
				t.Errorf("max_retries = %d: %d tries", n, seen)
			}
		}
		c := newClient(t)
		fails(t, c, values{"retry_mode": str("hopeful")}, "retry_mode", "adaptive")
		fails(t, c, values{"max_retries": tftypes.NewValue(tftypes.Number, -1)}, "max_retries")
	})
	t.Run("roles", func(t *testing.T) {
		clearEnv(t)
		sts := newRoles(t, svc)
		c := newClient(t)
		list := c.provider.AttributeTypes["assume_role"].(tftypes.List)
		role := func(members values) tftypes.Value {
			typ := list.ElementType.(tftypes.Object)
			all := map[string]tftypes.Value{}
			for n, kind := range typ.AttributeTypes {
				all[n] = tftypes.NewValue(kind, nil)
			}
			maps.Copy(all, members)
			return tftypes.NewValue(typ, all)
		}
		base := c.settingsFor(svc, svc.Endpoint).with("endpoints", c.block("endpoints", map[string]string{"ssm": svc.Endpoint, "s3": svc.Endpoint, "ec2": svc.Endpoint, "sts": sts.url})).
			with("access_key", str("AKIAIOSFODNN7EXAMPLE")).with("secret_key", str("of-no-use-to-the-service"))
		works(t, c, base.with("assume_role", tftypes.NewValue(list, []tftypes.Value{
			role(values{"role_arn": str("arn:aws:iam::000000000000:role/first")}),
			role(values{
				"role_arn": str("arn:aws:iam::000000000000:role/second"), "duration": str("1h"), "external_id": str("ext"), "session_name": str("deploy"),
				"tags": tftypes.NewValue(tftypes.Map{ElementType: tftypes.String}, map[string]tftypes.Value{"team": str("web")}),
			}),
		})))
		calls := sts.seen()
		if len(calls) < 2 || calls[0].Get("RoleArn") != "arn:aws:iam::000000000000:role/first" {
			t.Fatalf("STS was asked %v", calls)
		}
		for k, want := range map[string]string{"RoleArn": "arn:aws:iam::000000000000:role/second", "DurationSeconds": "3600", "ExternalId": "ext", "RoleSessionName": "deploy", "Tags.member.1.Key": "team", "Tags.member.1.Value": "web"} {
			if got := calls[len(calls)-1].Get(k); got != want {
				t.Errorf("%s is %q, want %q", k, got, want)
			}
		}
		fails(t, c, base.with("assume_role", tftypes.NewValue(list, []tftypes.Value{role(nil)})), "Missing role", "role_arn")
		fails(t, c, base.with("assume_role", tftypes.NewValue(list, []tftypes.Value{role(values{"role_arn": str("arn:aws:iam::000000000000:role/first"), "duration": str("10s")})})), "Invalid duration", "15m")
		sts.refuse()
		fails(t, newClient(t), base.with("assume_role", tftypes.NewValue(list, []tftypes.Value{role(values{"role_arn": str("arn:aws:iam::000000000000:role/first")})})), "role/first", "AccessDenied")
	})
	t.Run("web identity", func(t *testing.T) {
		clearEnv(t)
		sts, c := newRoles(t, svc), newClient(t)
		base := c.settingsFor(svc, svc.Endpoint).with("endpoints", c.block("endpoints", map[string]string{"ssm": svc.Endpoint, "s3": svc.Endpoint, "ec2": svc.Endpoint, "sts": sts.url}))
		delete(base, "access_key")
		delete(base, "secret_key")
		token := filepath.Join(t.TempDir(), "token")
		testenv.WriteFile(t, token, "the-token", 0o600)
		t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/web")
		works(t, c, base.with("assume_role_with_web_identity", c.block("assume_role_with_web_identity", map[string]string{"web_identity_token_file": token})))
		calls := sts.seen()
		if len(calls) == 0 || calls[0].Get("RoleArn") != "arn:aws:iam::000000000000:role/web" || calls[0].Get("WebIdentityToken") != "the-token" {
			t.Errorf("STS was asked %v", calls)
		}
		fails(t, newClient(t), base.with("assume_role_with_web_identity", c.block("assume_role_with_web_identity", nil)), "Missing token")
		t.Setenv("AWS_ROLE_ARN", "")
		fails(t, newClient(t), base.with("assume_role_with_web_identity", c.block("assume_role_with_web_identity", map[string]string{"web_identity_token": "x"})), "Missing role")
	})
}

// forwardProxy is an HTTP proxy, which notes the hosts it is asked for. All of
// them are one service; tunnels it refuses.
type forwardProxy struct {
	url  string
	mu   sync.Mutex
	seen []string
}

func newForwardProxy(t *testing.T, target string) *forwardProxy {
	p := &forwardProxy{}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		host := r.In.Host
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = u.Scheme, u.Host, host
	}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			p.mu.Lock()
			p.seen = append(p.seen, r.Host)
			p.mu.Unlock()
			w.WriteHeader(http.StatusForbidden)
			return
		}
		p.mu.Lock()
		p.seen = append(p.seen, r.Host)
		p.mu.Unlock()
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

func (p *forwardProxy) hosts() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.seen, " ")
}

// roles is an STS whose roles lead to the service's own key: the service has no
// roles yet.
type roles struct {
	url     string
	mu      sync.Mutex
	calls   []url.Values
	refused bool
}

func newRoles(t *testing.T, svc *testenv.Service) *roles {
	r := &roles{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		form, perr := url.ParseQuery(string(body))
		if err != nil || perr != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.calls = append(r.calls, form)
		refuse := r.refused
		r.mu.Unlock()
		w.Header().Set("Content-Type", "text/xml")
		if refuse {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not yours</Message></Error></ErrorResponse>`)
			return
		}
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>%[3]s</SecretAccessKey><SessionToken></SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			form.Get("Action"), svc.AccessKeyID, svc.SecretKey)
	}))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

func (r *roles) seen() []url.Values {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]url.Values(nil), r.calls...)
}

func (r *roles) refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = true
}
