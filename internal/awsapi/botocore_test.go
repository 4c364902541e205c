package awsapi_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ssmrun/internal/testenv"
)

// Why model.json differs from a botocore's model.
const (
	newer   = "of a newer model"
	answers = "of AWS's answers"
	unread  = "of outputs alone, which are not checked"
)

// differences are those that may be: model.json is of a newer model than
// Debian's, and three things in it (see model.go) are of AWS's answers.
var differences = map[string]string{
	"CommandId.pattern: ours ^[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}$, botocore's none": answers,
	"InstanceId.min: ours 10, botocore's none":                                    answers,
	"InstanceId.max: ours 20, botocore's none":                                    answers,
	"InstanceInformationFilterValue.max: ours 100000, botocore's none":            answers,
	"InstanceInformationFilterValue.pattern: ours ^.{1,100000}$, botocore's none": answers,
	"StringDateTime.pattern: ours none, botocore's one of dates":                  unread,
	"DescribeInstanceProperties: ours alone":                                      newer,
	"CreateDocument.errors: ours alone NoLongerSupportedException":                newer,
	"CreateDocument.errors: ours alone TooManyUpdates":                            newer,
	"DeleteDocument.errors: ours alone TooManyUpdates":                            newer,
	"UpdateDocumentMetadata.errors: ours alone TooManyUpdates":                    newer,
	"ConnectionStatus.enum: ours alone connected":                                 newer,
	"ConnectionStatus.enum: ours alone notconnected":                              newer,
	"ConnectionStatus.enum: botocore's alone Connected":                           newer,
	"ConnectionStatus.enum: botocore's alone NotConnected":                        newer,
	"DocumentRequires.RequireType: ours alone":                                    newer,
	"DocumentRequires.VersionName: ours alone":                                    newer,
	"DocumentType.enum: ours alone AutoApprovalPolicy":                            newer,
	"DocumentType.enum: ours alone ManualApprovalPolicy":                          newer,
	"DocumentType.enum: ours alone QuickSetup":                                    newer,
	"DescribeParametersRequest.Shared: ours alone":                                newer,
	"IPAddress.sensitive: ours true, botocore's false":                            newer,
	"InstanceInformation.SourceLocation: ours alone":                              newer,
	"InstanceProperty.AvailabilityZone: ours alone":                               newer,
	"InstanceProperty.SourceLocation: ours alone":                                 newer,
	"ParameterMetadata.ARN: ours alone":                                           newer,
	"ResourceType.enum: botocore's alone Document":                                newer,
	"ResourceTypeForTagging.enum: ours alone CloudConnector":                      newer,
	"SourceType.enum: ours alone Microsoft.Compute/virtualMachines":               newer,
	"TagValue.min: ours none, botocore's 1":                                       newer,
}

// TestModelAgainstBotocore compares model.json with the models that Debian's
// boto3 and AWS CLI bring: of every operation that both know, no member may be
// missing, and no constraint may differ but for what is known.
func TestModelAgainstBotocore(t *testing.T) {
	t.Parallel()
	var ours ourModel
	b, err := os.ReadFile("model.json")
	if err == nil {
		err = json.Unmarshal(b, &ours)
	}
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, dir := range []string{"botocore", "awscli/botocore"} {
		found, e := filepath.Glob("/usr/lib/python3/dist-packages/" + dir + "/data/ssm/2014-11-06/service-2.json*")
		files, err = append(files, found...), errors.Join(err, e)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		testenv.NotRun(t, "model.json against botocore's model", "there is no Debian botocore", "apt-get install awscli python3-boto3 (as root)")
	}
	for _, file := range files {
		theirs, err := readBotocore(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		c := comparison{ours: &ours, theirs: theirs, seen: map[[2]string]bool{}, found: map[string]bool{}}
		c.compare()
		for _, d := range slices.Sorted(maps.Keys(c.found)) {
			if differences[d] == "" {
				t.Errorf("%s: %s", file, d)
			}
		}
		if len(c.seen) < 150 {
			t.Errorf("%s: only %d shapes were compared", file, len(c.seen))
		}
	}
}

type ourModel struct {
	Operations map[string]struct {
		Errors        []string
		Input, Output []ourMember
	}
	Shapes map[string]ourShape
}

type ourMember struct {
	Name, Shape string
	Required    bool
}

type ourShape struct {
	Type, Pattern, Of string
	Min, Max          *int
	Enum              []string
	Sensitive         bool
	Members           []ourMember
}

type botocoreModel struct {
	Operations map[string]struct {
		Input, Output *botocoreRef
		Errors        []botocoreRef
	}
	Shapes map[string]botocoreShape
}

type botocoreRef struct{ Shape string }

type botocoreShape struct {
	Type, Pattern string
	Min, Max      *int
	Enum          []string
	Sensitive     bool
	Required      []string
	Members       map[string]botocoreRef
	Member, Value botocoreRef
}

// readBotocore reads a model, which later versions compress.
func readBotocore(file string) (*botocoreModel, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	var m botocoreModel
	return &m, json.NewDecoder(in).Decode(&m)
}

// comparison collects differences as texts.
type comparison struct {
	ours   *ourModel
	theirs *botocoreModel
	seen   map[[2]string]bool
	found  map[string]bool
}

func (c *comparison) add(format string, args ...any) { c.found[fmt.Sprintf(format, args...)] = true }

func (c *comparison) compare() {
	for name, op := range c.ours.Operations {
		other, ok := c.theirs.Operations[name]
		if !ok {
			c.add("%s: ours alone", name)
			continue
		}
		errs := make([]string, len(other.Errors))
		for i, e := range other.Errors {
			errs[i] = e.Shape
		}
		c.sets(name+".errors", op.Errors, errs)
		c.side(name+"Request", op.Input, other.Input)
		c.side(name+"Result", op.Output, other.Output)
	}
}

func (c *comparison) side(name string, ours []ourMember, ref *botocoreRef) {
	var theirs botocoreShape
	if ref != nil {
		theirs = c.theirs.Shapes[ref.Shape]
	}
	c.members(name, ours, theirs)
}

func (c *comparison) members(name string, ours []ourMember, theirs botocoreShape) {
	known := map[string]bool{}
	for _, m := range ours {
		known[m.Name] = true
		ref, ok := theirs.Members[m.Name]
		if !ok {
			c.add("%s.%s: ours alone", name, m.Name)
			continue
		}
		c.same(name+"."+m.Name+" required", m.Required, slices.Contains(theirs.Required, m.Name))
		c.shape(m.Shape, ref.Shape)
	}
	for member := range theirs.Members {
		if !known[member] {
			c.add("%s.%s: botocore's alone", name, member)
		}
	}
}

func (c *comparison) shape(name, other string) {
	if c.seen[[2]string{name, other}] {
		return
	}
	c.seen[[2]string{name, other}] = true
	ours, theirs := c.ours.Shapes[name], c.theirs.Shapes[other]
	if theirs.Type == "long" {
		theirs.Type = "integer"
	}
	if name == "StringDateTime" && theirs.Pattern != "" {
		theirs.Pattern = "one of dates"
	}
	c.same(name+".type", ours.Type, theirs.Type)
	c.same(name+".min", bound(ours.Min), bound(theirs.Min))
	c.same(name+".max", bound(ours.Max), bound(theirs.Max))
	c.same(name+".pattern", orNone(ours.Pattern), orNone(theirs.Pattern))
	c.same(name+".sensitive", ours.Sensitive, theirs.Sensitive)
	c.sets(name+".enum", ours.Enum, theirs.Enum)
	switch ours.Type {
	case "structure":
		c.members(name, ours.Members, theirs)
	case "list":
		c.shape(ours.Of, theirs.Member.Shape)
	case "map":
		c.shape(ours.Of, theirs.Value.Shape)
	}
}

func (c *comparison) same(what string, ours, theirs any) {
	if ours != theirs {
		c.add("%s: ours %v, botocore's %v", what, ours, theirs)
	}
}

func (c *comparison) sets(what string, ours, theirs []string) {
	for _, v := range ours {
		if !slices.Contains(theirs, v) {
			c.add("%s: ours alone %s", what, v)
		}
	}
	for _, v := range theirs {
		if !slices.Contains(ours, v) {
			c.add("%s: botocore's alone %s", what, v)
		}
	}
}

// bound is a bound as a text; at least 0 is none.
func bound(n *int) string {
	if n == nil || *n == 0 {
		return "none"
	}
	return fmt.Sprint(*n)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
