package daemon_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/testenv"
)

// putParameter puts a parameter and gives its version.
func putParameter(t *testing.T, s *testenv.Service, name, value string, typ types.ParameterType, change ...func(*ssm.PutParameterInput)) int64 {
	t.Helper()
	in := &ssm.PutParameterInput{Name: aws.String(name), Value: aws.String(value), Type: typ}
	for _, c := range change {
		c(in)
	}
	out, err := s.SSM().PutParameter(testenv.Context(t), in)
	if err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
	return out.Version
}

func overwrite(in *ssm.PutParameterInput) { in.Overwrite = aws.Bool(true) }

func TestParameters(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Regions: []string{"us-east-1", "eu-west-1"}})
	ctx, client := testenv.Context(t), s.SSM()
	get := func(name string, decrypt bool) (*types.Parameter, error) {
		out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name), WithDecryption: aws.Bool(decrypt)})
		if err != nil {
			return nil, err
		}
		return out.Parameter, nil
	}
	wants := func(name string, decrypt bool, want string) *types.Parameter {
		t.Helper()
		p, err := get(name, decrypt)
		if err != nil {
			t.Fatalf("get %s: %v", name, err)
		}
		if got := fmt.Sprint(aws.ToString(p.Name), " ", p.Type, " ", aws.ToString(p.Value), " ", p.Version, aws.ToString(p.Selector)); got != want {
			t.Errorf("get %s: %s, want %s", name, got, want)
		}
		return p
	}
	putParameter(t, s, "/app/name", "one", types.ParameterTypeString, func(in *ssm.PutParameterInput) { in.AllowedPattern = aws.String("[a-z]+") })
	if v := putParameter(t, s, "/app/name", "two", "", overwrite); v != 2 {
		t.Errorf("version %d", v)
	}
	p := wants("/app/name", false, "/app/name String two 2")
	if aws.ToString(p.ARN) != "arn:aws:ssm:us-east-1:000000000000:parameter/app/name" || aws.ToString(p.DataType) != "text" || p.LastModifiedDate == nil {
		t.Errorf("got %+v", p)
	}
	wants("/app/name:1", false, "/app/name String one 1:1")
	wants("arn:aws:ssm:us-east-1:000000000000:parameter/app/name:1", true, "/app/name String one 1:1")
	putParameter(t, s, "list", "a,b", types.ParameterTypeStringList)
	wants("arn:aws:ssm:us-east-1:000000000000:parameter/list", false, "list StringList a,b 1")

	const secret = "correct horse"
	putParameter(t, s, "/app/secret", secret, types.ParameterTypeSecureString)
	wants("/app/secret", true, "/app/secret SecureString "+secret+" 1")
	sealed, err := get("/app/secret", false)
	if err != nil || strings.Contains(aws.ToString(sealed.Value), "horse") || !regexp.MustCompile(`^[A-Za-z0-9+/]{40,}=*$`).MatchString(aws.ToString(sealed.Value)) {
		t.Errorf("sealed: %v, %v", sealed, err)
	}

	many, err := client.GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"list", "no", "/app/name:9", "/app/name:1", "list"}})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range many.Parameters {
		found = append(found, aws.ToString(p.Name)+aws.ToString(p.Selector))
	}
	if d := cmp.Diff([]string{"list", "/app/name:1"}, found) + cmp.Diff([]string{"no", "/app/name:9"}, many.InvalidParameters); d != "" {
		t.Error(d)
	}
	other := ssm.NewFromConfig(s.Config("eu-west-1"))
	if _, err := other.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("list")}); err == nil {
		t.Error("a parameter of another region was found")
	}
	if _, err := other.GetParameter(ctx, &ssm.GetParameterInput{Name: p.ARN}); err == nil {
		t.Error("an ARN of another region was found")
	}

	deleted, err := client.DeleteParameters(ctx, &ssm.DeleteParametersInput{Names: []string{"list", "no", "/app/secret:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"list"}, deleted.DeletedParameters) + cmp.Diff([]string{"no", "/app/secret:1"}, deleted.InvalidParameters); d != "" {
		t.Error(d)
	}
	if _, err := client.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String("/app/name")}); err != nil {
		t.Error(err)
	}
	if _, err := get("/app/name:1", false); err == nil {
		t.Error("a version of a deleted parameter was found")
	}
	_, err = client.LabelParameterVersion(ctx, &ssm.LabelParameterVersionInput{Name: aws.String("/app/secret"), Labels: []string{"x"}})
	if got, _ := code(t, err); got != "UnknownOperationException" {
		t.Errorf("a label: %v", err)
	}
}

func TestParametersRefused(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx, client := testenv.Context(t), s.SSM()
	putParameter(t, s, "there", "1", types.ParameterTypeString, func(in *ssm.PutParameterInput) { in.AllowedPattern = aws.String("[0-9]+") })
	putParameter(t, s, "large", strings.Repeat("x", 4097), types.ParameterTypeString, func(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierIntelligentTiering })
	const value = "value-not-to-be-repeated"
	for _, c := range []struct {
		name   string
		change func(*ssm.PutParameterInput)
		code   string
		says   string
	}{
		{"exists", func(in *ssm.PutParameterInput) { in.Name = aws.String("there") }, "ParameterAlreadyExists", "overwrite"},
		{"pattern", func(in *ssm.PutParameterInput) { in.Name, in.Overwrite = aws.String("there"), aws.Bool(true) }, "ParameterPatternMismatchException", "[0-9]+"},
		{"odd pattern", func(in *ssm.PutParameterInput) { in.AllowedPattern = aws.String("(?=x)") }, "InvalidAllowedPatternException", ""},
		{"another type", func(in *ssm.PutParameterInput) {
			in.Name, in.Overwrite, in.Type, in.Value = aws.String("there"), aws.Bool(true), types.ParameterTypeSecureString, aws.String("2")
		}, "HierarchyTypeMismatchException", "SecureString"},
		{"unknown type", func(in *ssm.PutParameterInput) { in.Type = "Number" }, "ValidationException", "enum value set"},
		{"no type", func(in *ssm.PutParameterInput) { in.Type = "" }, "ValidationException", "type is required"},
		{"a data type", func(in *ssm.PutParameterInput) { in.DataType = aws.String("aws:ec2:image") }, "UnsupportedParameterType", "aws:ec2:image"},
		{"policies", func(in *ssm.PutParameterInput) {
			in.Policies = aws.String(`[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2030-01-01T00:00:00Z"}}]`)
		}, "InvalidPolicyTypeException", "not supported"},
		{"a key for a String", func(in *ssm.PutParameterInput) { in.KeyId = aws.String("alias/x") }, "ValidationException", "SecureString"},
		{"16 levels", func(in *ssm.PutParameterInput) { in.Name = aws.String(strings.Repeat("/x", 16)) }, "HierarchyLevelLimitExceededException", "15"},
		{"aws", func(in *ssm.PutParameterInput) { in.Name = aws.String("/Aws/x") }, "AccessDeniedException", "/Aws/x"},
		{"ssm", func(in *ssm.PutParameterInput) { in.Name = aws.String("ssmx") }, "ValidationException", "ssm"},
		{"no full path", func(in *ssm.PutParameterInput) { in.Name = aws.String("a/b") }, "ValidationException", "fully qualified"},
		{"a space", func(in *ssm.PutParameterInput) { in.Name = aws.String("a b") }, "ValidationException", ""},
		{"an empty level", func(in *ssm.PutParameterInput) { in.Name = aws.String("/a//b") }, "ValidationException", ""},
		{"a long name", func(in *ssm.PutParameterInput) { in.Name = aws.String(strings.Repeat("x", 1012)) }, "ValidationException", "1011"},
		{"no value", func(in *ssm.PutParameterInput) { in.Value = aws.String("") }, "ValidationException", "'value'"},
		{"4097 bytes", func(in *ssm.PutParameterInput) { in.Value = aws.String(strings.Repeat("é", 2049)) }, "ValidationException", "Standard tier"},
		{"8193 bytes", func(in *ssm.PutParameterInput) {
			in.Value, in.Tier = aws.String(strings.Repeat("x", 8193)), types.ParameterTierAdvanced
		}, "ValidationException", "8192"},
		{"back to Standard", func(in *ssm.PutParameterInput) {
			in.Name, in.Overwrite, in.Tier = aws.String("large"), aws.Bool(true), types.ParameterTierStandard
		}, "ValidationException", "advanced"},
		{"tags and overwrite", func(in *ssm.PutParameterInput) {
			in.Overwrite, in.Tags = aws.Bool(true), []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
		}, "ValidationException", "tags and overwrite"},
	} {
		in := &ssm.PutParameterInput{Name: aws.String("new"), Value: aws.String(value), Type: types.ParameterTypeString}
		c.change(in)
		_, err := client.PutParameter(ctx, in)
		if got, message := code(t, err); got != c.code || !strings.Contains(message, c.says) || strings.Contains(message, value) {
			t.Errorf("%s: %s %q, want %s with %q", c.name, got, message, c.code, c.says)
		}
	}
	for name, want := range map[string]string{"none": "ParameterNotFound", "there:2": "ParameterVersionNotFound", "there:label": "ParameterVersionNotFound", "none:1": "ParameterNotFound", "": "ValidationException"} {
		_, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name)})
		if got, _ := code(t, err); got != want {
			t.Errorf("get %s: %v, want %s", name, err, want)
		}
	}
	_, err := client.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String("none")})
	if got, _ := code(t, err); got != "ParameterNotFound" {
		t.Errorf("delete: %v", err)
	}
	for _, c := range []struct {
		filter types.ParameterStringFilter
		code   string
	}{
		{types.ParameterStringFilter{Key: aws.String("Name"), Option: aws.String("OneLevel"), Values: []string{"x"}}, "InvalidFilterOption"},
		{types.ParameterStringFilter{Key: aws.String("Name")}, "InvalidFilterValue"},
		{types.ParameterStringFilter{Key: aws.String("Type"), Values: []string{"Number"}}, "InvalidFilterValue"},
		{types.ParameterStringFilter{Key: aws.String("Path"), Values: []string{"x"}}, "InvalidFilterValue"},
		{types.ParameterStringFilter{Key: aws.String("Owner"), Values: []string{"x"}}, "ValidationException"},
	} {
		_, err := client.DescribeParameters(ctx, &ssm.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{c.filter}})
		if got, _ := code(t, err); got != c.code {
			t.Errorf("%v: %v, want %s", c.filter, err, c.code)
		}
	}
	byName := []types.ParameterStringFilter{{Key: aws.String("Name"), Values: []string{"x"}}}
	_, err = client.DescribeParameters(ctx, &ssm.DescribeParametersInput{ParameterFilters: append(byName, byName...)})
	if got, _ := code(t, err); got != "InvalidFilterKey" {
		t.Errorf("a key twice: %v", err)
	}
	_, err = client.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/"), ParameterFilters: byName})
	if got, _ := code(t, err); got != "InvalidFilterKey" {
		t.Errorf("by path: %v", err)
	}
	_, err = client.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("x")})
	if got, _ := code(t, err); got != "ValidationException" {
		t.Errorf("a path without a slash: %v", err)
	}
	_, err = client.DescribeParameters(ctx, &ssm.DescribeParametersInput{NextToken: aws.String("x")})
	if got, _ := code(t, err); got != "InvalidNextToken" {
		t.Errorf("a token: %v", err)
	}
}

func TestParametersListed(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{})
	ctx, client := testenv.Context(t), s.SSM()
	for _, name := range []string{"/a/one", "/a/two", "/a/b/three", "/ab/four", "five"} {
		putParameter(t, s, name, "v of "+name, types.ParameterTypeString)
	}
	putParameter(t, s, "/a/secret", "hidden", types.ParameterTypeSecureString, func(in *ssm.PutParameterInput) {
		in.KeyId, in.Description, in.Tier = aws.String("alias/mine"), aws.String("why"), types.ParameterTierAdvanced
		in.Tags = []types.Tag{{Key: aws.String("env"), Value: aws.String("test")}}
	})
	filter := func(key, option string, values ...string) []types.ParameterStringFilter {
		f := types.ParameterStringFilter{Key: aws.String(key), Values: values}
		if option != "" {
			f.Option = aws.String(option)
		}
		return []types.ParameterStringFilter{f}
	}
	for _, c := range []struct {
		in   ssm.DescribeParametersInput
		want string
	}{
		{ssm.DescribeParametersInput{}, "/a/b/three /a/one /a/secret /a/two /ab/four five"},
		{ssm.DescribeParametersInput{Shared: aws.Bool(true)}, ""},
		{ssm.DescribeParametersInput{ParameterFilters: filter("Name", "", "five", "/a/one")}, "/a/one five"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("Name", "BeginsWith", "/a/")}, "/a/b/three /a/one /a/secret /a/two"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("Name", "Contains", "f")}, "/ab/four five"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("Type", "Equals", "SecureString")}, "/a/secret"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("KeyId", "", "alias/mine")}, "/a/secret"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("Tier", "", "Advanced")}, "/a/secret"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("DataType", "", "text")}, "/a/b/three /a/one /a/secret /a/two /ab/four five"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("Path", "", "/a")}, "/a/one /a/secret /a/two"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("Path", "Recursive", "/a/")}, "/a/b/three /a/one /a/secret /a/two"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("tag:env", "", "test")}, "/a/secret"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("tag:env", "")}, "/a/secret"},
		{ssm.DescribeParametersInput{ParameterFilters: filter("tag:env", "", "prod")}, ""},
		{ssm.DescribeParametersInput{ParameterFilters: filter("Label", "", "x")}, ""},
		{ssm.DescribeParametersInput{ParameterFilters: append(filter("Path", "", "/a"), filter("Type", "", "String")...)}, "/a/one /a/two"},
		{ssm.DescribeParametersInput{Filters: []types.ParametersFilter{{Key: types.ParametersFilterKeyName, Values: []string{"/a/"}}}}, "/a/b/three /a/one /a/secret /a/two"},
	} {
		c.in.MaxResults = aws.Int32(2)
		var names []string
		pages := ssm.NewDescribeParametersPaginator(client, &c.in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.Parameters {
				names = append(names, aws.ToString(p.Name))
				if aws.ToString(p.Name) == "/a/secret" && (aws.ToString(p.KeyId) != "alias/mine" || aws.ToString(p.Description) != "why" || p.Tier != types.ParameterTierAdvanced || !strings.HasSuffix(aws.ToString(p.LastModifiedUser), ":user/ssmrun")) {
					t.Errorf("got %+v", p)
				}
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%+v: %s, want %s", c.in, got, c.want)
		}
	}
	for _, c := range []struct {
		path    string
		deep    bool
		decrypt bool
		want    []string
	}{
		{"/a", false, true, []string{"v of /a/one", "hidden", "v of /a/two"}},
		{"/a/", true, true, []string{"v of /a/b/three", "v of /a/one", "hidden", "v of /a/two"}},
		{"/", false, false, []string{"v of five"}},
		{"/none", true, false, nil},
	} {
		var got []string
		pages := ssm.NewGetParametersByPathPaginator(client, &ssm.GetParametersByPathInput{Path: aws.String(c.path), Recursive: aws.Bool(c.deep), WithDecryption: aws.Bool(c.decrypt), MaxResults: aws.Int32(1)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.Parameters {
				got = append(got, aws.ToString(p.Value))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
	// A token is good for its own question only.
	page, err := client.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/a"), MaxResults: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/ab"), NextToken: page.NextToken})
	if got, _ := code(t, err); got != "InvalidNextToken" {
		t.Errorf("another's token: %v", err)
	}
}
