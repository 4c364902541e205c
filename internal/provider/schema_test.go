package provider

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"ssmrun/internal/testenv"
)

// TestArguments holds the action's arguments: those of the reference page, and
// wait_for_instances.
func TestArguments(t *testing.T) {
	t.Parallel()
	resp, err := newClient(t).server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.ActionSchemas) != 1 || len(resp.ResourceSchemas) != 0 || len(resp.DataSourceSchemas) != 0 {
		t.Errorf("there is more than the action: %v", resp.ActionSchemas)
	}
	got := map[string]string{}
	for _, a := range resp.ActionSchemas[actionType].Schema.Block.Attributes {
		kind := a.Type.String()
		if a.Required {
			kind += ", required"
		}
		got[a.Name] = kind
	}
	want := map[string]string{
		"instance_ids": "tftypes.List[tftypes.String], required", "document_name": "tftypes.String, required",
		"parameters": tftypes.DynamicPseudoType.String(), "output_s3_bucket": "tftypes.String", "region": "tftypes.String",
		"timeout": "tftypes.Number", "wait_for_instances": "tftypes.String",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestDocs fails when docs/ was not generated again after a change of the
// schema, and when the action's page has lost a section.
func TestDocs(t *testing.T) {
	t.Parallel()
	resp, err := newClient(t).server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	page := func(name string) string {
		b, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	attributes := func(page string, list []*tfprotov6.SchemaAttribute) {
		for _, a := range list {
			line := "- `" + a.Name + "` ("
			i := strings.Index(page, line)
			if i < 0 || !strings.Contains(page[i:], a.Description) {
				t.Errorf("%s does not stand in the documentation as in the schema: make docs", a.Name)
			}
		}
	}
	index, action := page("index.md"), page("actions/ssm_send_command.md")
	attributes(action, resp.ActionSchemas[actionType].Schema.Block.Attributes)
	attributes(index, resp.Provider.Block.Attributes)
	for _, b := range resp.Provider.Block.BlockTypes {
		attributes(index, b.Block.Attributes)
	}
	var headings []string
	for line := range strings.SplitSeq(action, "\n") {
		if strings.HasPrefix(line, "## ") || strings.HasPrefix(line, "### ") {
			headings = append(headings, strings.TrimLeft(line, "# "))
		}
	}
	for _, want := range []string{
		"Example Usage", "Basic Usage", "With Parameters", "Multiple Instances with S3 Output", "Deployment Trigger",
		"Argument Reference", "Behavior", "Prerequisites", "Permissions", "Common Documents",
	} {
		if !slices.Contains(headings, want) {
			t.Errorf("the page has no section %q", want)
		}
	}
	for _, want := range []string{"~> **Note:**", "!> **Warning:**"} {
		if !strings.Contains(action, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	// The policy can be pasted.
	_, policy, _ := strings.Cut(action, "```json\n")
	policy, _, _ = strings.Cut(policy, "```")
	if !json.Valid([]byte(policy)) {
		t.Errorf("the policy is no JSON: %s", policy)
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := Main([]string{"-version"}, &out, &errs); code != exitOK || out.String() != Version+"\n" || errs.Len() > 0 {
		t.Errorf("-version: %d, %q, %q", code, &out, &errs)
	}
	if code := Main([]string{"-what"}, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "-what") {
		t.Errorf("-what: %d, %q", code, &errs)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	slog.New(logHandler(&b)).With("instance", "i-1").Warn("it happened", "reason", "why")
	var got map[string]string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["@timestamp"] == "" {
		t.Error("no time")
	}
	delete(got, "@timestamp")
	if d := cmp.Diff(map[string]string{"@level": "WARN", "@message": "it happened", "instance": "i-1", "reason": "why"}, got); d != "" {
		t.Error(d)
	}
}
