package objects

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"relative dir":   {func(c *Config) { c.Dir = "data" }, `"data" is not absolute`},
		"no dir":         {func(c *Config) { c.Dir = "" }, "not absolute"},
		"no region":      {func(c *Config) { c.Regions = nil }, "no region"},
		"bad region":     {func(c *Config) { c.Regions = []string{"us east"} }, `"us east"`},
		"twice a region": {func(c *Config) { c.Regions = []string{"r-1", "r-1"} }, "named twice"},
		"no keys":        {func(c *Config) { c.Keys = nil }, "Keys is missing"},
		"domain as URL":  {func(c *Config) { c.Domains = []string{"http://s3.test"} }, "without scheme"},
		"nested domain":  {func(c *Config) { c.Domains = []string{"s3.lab.test", "LAB.test"} }, "hold one another"},
		"same domain":    {func(c *Config) { c.Domains = []string{"s3.test", "s3.test."} }, "hold one another"},
		"empty domain":   {func(c *Config) { c.Domains = []string{"."} }, "no host name"},
	} {
		cfg := testConfig("/nowhere")
		tc.change(&cfg)
		_, err := Start(context.Background(), cfg)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	cfg := testConfig("/data/x/../objects/")
	cfg.Domains = []string{"S3.Lab.test.", "s3.eu-west-1.lab.test"}
	cfg.Logger = nil
	got, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if got.Dir != "/data/objects" || got.AccountID != "000000000000" || got.Logger == nil || got.fsync == nil {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff([]string{"s3.lab.test", "s3.eu-west-1.lab.test"}, got.Domains); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
}
