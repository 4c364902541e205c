package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"ssmrun/internal/testenv"
)

// TestGoWaiter waits for commands as users of the Go SDK do.
func TestGoWaiter(t *testing.T) {
	t.Parallel()
	s := testenv.Start(t, testenv.Options{Agents: 1})
	ctx, client := testenv.Context(t), s.SSM()
	waiter := ssm.NewCommandExecutedWaiter(client, func(o *ssm.CommandExecutedWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second, time.Second })
	for _, c := range []struct{ script, status, says string }{
		{"echo from go", "Success", ""},
		{"exit 3", "Failed", "transitioned to Failure"},
	} {
		sent, err := client.SendCommand(ctx, &ssm.SendCommandInput{
			DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: s.InstanceIDs, Parameters: map[string][]string{"commands": {c.script}},
		})
		if err != nil {
			t.Fatal(err)
		}
		in := &ssm.GetCommandInvocationInput{CommandId: sent.Command.CommandId, InstanceId: &s.InstanceIDs[0]}
		out, err := waiter.WaitForOutput(ctx, in, time.Minute)
		if c.says == "" && (err != nil || string(out.Status) != c.status) {
			t.Errorf("%s: %+v, %v", c.script, out, err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %s", c.script, err, c.says)
		}
		if got, err := client.GetCommandInvocation(ctx, in); err != nil || string(got.Status) != c.status {
			t.Errorf("%s: %+v, %v", c.script, got, err)
		}
	}
}

// pager is one of the SDK's paginators.
type pager[Out, Options any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*Options)) (*Out, error)
}

// paged gives the rows of each page.
func paged[Out, Options any](ctx context.Context, p pager[Out, Options], rows func(*Out) []string) (pages [][]string, err error) {
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return pages, err
		}
		pages = append(pages, rows(page))
	}
	return pages, nil
}

// tokens is a paginator for the operations to which the SDK gives none.
type tokens[Out any] struct {
	next *string
	done bool
	call func(token *string) (*Out, *string, error)
}

func (p *tokens[Out]) HasMorePages() bool { return !p.done }

func (p *tokens[Out]) NextPage(context.Context, ...func(*ssm.Options)) (out *Out, err error) {
	out, p.next, err = p.call(p.next)
	p.done = p.next == nil
	return out, err
}

// column picks a member of each row.
func column[Row any](rows []Row, of func(*Row) *string) []string {
	out := make([]string, len(rows))
	for i := range rows {
		out[i] = aws.ToString(of(&rows[i]))
	}
	return out
}

// numbered names n rows: prefix00 and so on.
func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%02d", prefix, i)
	}
	return out
}

// counts are the numbers from 1 to n.
func counts(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i + 1)
	}
	return out
}

// withPages are the operations that are served and take a NextToken.
func withPages(t *testing.T) map[string]bool {
	t.Helper()
	var model struct {
		Operations map[string]struct{ Input []struct{ Name string } }
	}
	b, err := os.ReadFile(filepath.Join(testenv.Root(t), "internal/awsapi/model.json"))
	if err == nil {
		err = json.Unmarshal(b, &model)
	}
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for name, operation := range model.Operations {
		for _, member := range operation.Input {
			if member.Name == "NextToken" {
				found[name] = true
			}
		}
	}
	return found
}

// TestGoPaginators reads every list that has pages, each row once, in pages of
// the size that was asked for.
func TestGoPaginators(t *testing.T) {
	t.Parallel()
	const nodes, commands = 50, 120
	var machines []string
	for _, id := range numbered("i-000000", 60) {
		machines = append(machines, `{"InstanceId":"`+id+`"}`)
	}
	file := filepath.Join(t.TempDir(), "ec2.json")
	testenv.WriteFile(t, file, "["+strings.Join(machines, ",")+"]", 0o600)
	s := testenv.Start(t, testenv.Options{Roles: []string{"Paged"}, Args: []string{"--ec2-instances", file}})
	ctx, client := t.Context(), s.SSM()
	activation, ids := simulate(t, s, nodes)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	send := func(instances ...string) string {
		t.Helper()
		out, err := client.SendCommand(ctx, &ssm.SendCommandInput{
			DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: instances, Parameters: map[string][]string{"commands": {"true"}},
		})
		must(err)
		return aws.ToString(out.Command.CommandId)
	}
	var sent []string
	for range commands {
		sent = append(sent, send(ids[0]))
	}
	all := send(ids...)
	documents, parameters, accounts := numbered("Paged-", 60), numbered("/paged/p", 60), numbered("1111222233", 20)
	content := `{"schemaVersion":"2.2","mainSteps":[{"action":"aws:runShellScript","name":"s","inputs":{"runCommand":["echo %d"]}}]}`
	var activations []string
	for i := range 60 {
		_, err := client.CreateDocument(ctx, &ssm.CreateDocumentInput{Name: &documents[i], Content: aws.String(fmt.Sprintf(content, 0)), DocumentType: types.DocumentTypeCommand})
		must(err)
		_, err = client.PutParameter(ctx, &ssm.PutParameterInput{Name: &parameters[i], Value: aws.String("v"), Type: types.ParameterTypeString})
		must(err)
		a, err := client.CreateActivation(ctx, &ssm.CreateActivationInput{IamRole: aws.String("Paged")})
		must(err)
		activations = append(activations, aws.ToString(a.ActivationId))
	}
	document := &documents[0]
	for i := 1; i < 12; i++ {
		_, err := client.UpdateDocument(ctx, &ssm.UpdateDocumentInput{Name: document, DocumentVersion: aws.String("$LATEST"), Content: aws.String(fmt.Sprintf(content, i))})
		must(err)
		action := types.DocumentReviewActionSendForReview
		if i%2 == 0 {
			action = types.DocumentReviewActionApprove
		}
		_, err = client.UpdateDocumentMetadata(ctx, &ssm.UpdateDocumentMetadataInput{Name: document, DocumentVersion: aws.String("1"), DocumentReviews: &types.DocumentReviews{
			Action: action, Comment: []types.DocumentReviewCommentSource{{Content: aws.String(fmt.Sprint(i)), Type: types.DocumentReviewCommentTypeComment}},
		}})
		must(err)
	}
	_, err := client.ModifyDocumentPermission(ctx, &ssm.ModifyDocumentPermissionInput{Name: document, PermissionType: types.DocumentPermissionTypeShare, AccountIdsToAdd: accounts})
	must(err)

	fifty, twenty, five := aws.Int32(50), aws.Int32(20), aws.Int32(5)
	path := []types.ParameterStringFilter{{Key: aws.String("Path"), Values: []string{"/paged"}}}
	byActivation, missed := []string{activation}, withPages(t)
	for operation, c := range map[string]struct {
		read  func() ([][]string, error)
		size  int
		wants []string
	}{
		"ListCommands": {func() ([][]string, error) {
			return paged(ctx, ssm.NewListCommandsPaginator(client, &ssm.ListCommandsInput{InstanceId: &ids[0], MaxResults: fifty}), func(o *ssm.ListCommandsOutput) []string {
				return column(o.Commands, func(c *types.Command) *string { return c.CommandId })
			})
		}, 50, append(slices.Clone(sent), all)},
		"ListCommandInvocations": {func() ([][]string, error) {
			return paged(ctx, ssm.NewListCommandInvocationsPaginator(client, &ssm.ListCommandInvocationsInput{CommandId: &all, MaxResults: twenty, Details: true}), func(o *ssm.ListCommandInvocationsOutput) []string {
				return column(o.CommandInvocations, func(i *types.CommandInvocation) *string { return i.InstanceId })
			})
		}, 20, ids},
		"DescribeInstanceInformation": {func() ([][]string, error) {
			in := &ssm.DescribeInstanceInformationInput{MaxResults: twenty, Filters: []types.InstanceInformationStringFilter{{Key: aws.String("ActivationIds"), Values: byActivation}}}
			return paged(ctx, ssm.NewDescribeInstanceInformationPaginator(client, in), func(o *ssm.DescribeInstanceInformationOutput) []string {
				return column(o.InstanceInformationList, func(i *types.InstanceInformation) *string { return i.InstanceId })
			})
		}, 20, ids},
		"DescribeInstanceProperties": {func() ([][]string, error) {
			in := &ssm.DescribeInstancePropertiesInput{MaxResults: twenty, FiltersWithOperator: []types.InstancePropertyStringFilter{{Key: aws.String("ActivationIds"), Values: byActivation}}}
			return paged(ctx, ssm.NewDescribeInstancePropertiesPaginator(client, in), func(o *ssm.DescribeInstancePropertiesOutput) []string {
				return column(o.InstanceProperties, func(i *types.InstanceProperty) *string { return i.InstanceId })
			})
		}, 20, ids},
		"DescribeActivations": {func() ([][]string, error) {
			in := &ssm.DescribeActivationsInput{MaxResults: fifty, Filters: []types.DescribeActivationsFilter{{FilterKey: types.DescribeActivationsFilterKeysIamRole, FilterValues: []string{"Paged"}}}}
			return paged(ctx, ssm.NewDescribeActivationsPaginator(client, in), func(o *ssm.DescribeActivationsOutput) []string {
				return column(o.ActivationList, func(a *types.Activation) *string { return a.ActivationId })
			})
		}, 50, activations},
		"ListDocuments": {func() ([][]string, error) {
			in := &ssm.ListDocumentsInput{MaxResults: fifty, Filters: []types.DocumentKeyValuesFilter{{Key: aws.String("Owner"), Values: []string{"Self"}}}}
			return paged(ctx, ssm.NewListDocumentsPaginator(client, in), func(o *ssm.ListDocumentsOutput) []string {
				return column(o.DocumentIdentifiers, func(d *types.DocumentIdentifier) *string { return d.Name })
			})
		}, 50, documents},
		"ListDocumentVersions": {func() ([][]string, error) {
			return paged(ctx, ssm.NewListDocumentVersionsPaginator(client, &ssm.ListDocumentVersionsInput{Name: document, MaxResults: five}), func(o *ssm.ListDocumentVersionsOutput) []string {
				return column(o.DocumentVersions, func(v *types.DocumentVersionInfo) *string { return v.DocumentVersion })
			})
		}, 5, counts(12)},
		"ListDocumentMetadataHistory": {func() ([][]string, error) {
			return paged(ctx, &tokens[ssm.ListDocumentMetadataHistoryOutput]{call: func(token *string) (*ssm.ListDocumentMetadataHistoryOutput, *string, error) {
				o, err := client.ListDocumentMetadataHistory(ctx, &ssm.ListDocumentMetadataHistoryInput{Name: document, DocumentVersion: aws.String("1"), Metadata: types.DocumentMetadataEnumDocumentReviews, MaxResults: five, NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return o, o.NextToken, nil
			}}, func(o *ssm.ListDocumentMetadataHistoryOutput) []string {
				return column(o.Metadata.ReviewerResponse, func(r *types.DocumentReviewerResponseSource) *string { return r.Comment[0].Content })
			})
		}, 5, counts(11)},
		"DescribeDocumentPermission": {func() ([][]string, error) {
			return paged(ctx, &tokens[ssm.DescribeDocumentPermissionOutput]{call: func(token *string) (*ssm.DescribeDocumentPermissionOutput, *string, error) {
				o, err := client.DescribeDocumentPermission(ctx, &ssm.DescribeDocumentPermissionInput{Name: document, PermissionType: types.DocumentPermissionTypeShare, MaxResults: five, NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return o, o.NextToken, nil
			}}, func(o *ssm.DescribeDocumentPermissionOutput) []string { return o.AccountIds })
		}, 5, accounts},
		"DescribeParameters": {func() ([][]string, error) {
			return paged(ctx, ssm.NewDescribeParametersPaginator(client, &ssm.DescribeParametersInput{MaxResults: fifty, ParameterFilters: path}), func(o *ssm.DescribeParametersOutput) []string {
				return column(o.Parameters, func(p *types.ParameterMetadata) *string { return p.Name })
			})
		}, 50, parameters},
		"GetParametersByPath": {func() ([][]string, error) {
			return paged(ctx, ssm.NewGetParametersByPathPaginator(client, &ssm.GetParametersByPathInput{Path: aws.String("/paged")}), func(o *ssm.GetParametersByPathOutput) []string {
				return column(o.Parameters, func(p *types.Parameter) *string { return p.Name })
			})
		}, 10, parameters},
		"EC2's DescribeInstances": {func() ([][]string, error) {
			in := &ec2.DescribeInstancesInput{MaxResults: fifty, Filters: []ec2types.Filter{{Name: aws.String("instance-id"), Values: []string{"i-000000*"}}}}
			return paged(ctx, ec2.NewDescribeInstancesPaginator(s.EC2(), in), func(o *ec2.DescribeInstancesOutput) []string {
				return column(o.Reservations, func(r *ec2types.Reservation) *string { return r.Instances[0].InstanceId })
			})
		}, 50, numbered("i-000000", 60)},
	} {
		pages, err := c.read()
		if err != nil {
			t.Errorf("%s: %v", operation, err)
			continue
		}
		for i, page := range pages {
			if want := min(c.size, len(c.wants)-i*c.size); len(page) != want {
				t.Errorf("%s: page %d has %d rows, want %d", operation, i+1, len(page), want)
			}
		}
		got, want := slices.Sorted(slices.Values(slices.Concat(pages...))), slices.Sorted(slices.Values(c.wants))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", operation, d)
		}
		delete(missed, operation)
	}
	for operation := range missed {
		t.Errorf("no list of %s was read", operation)
	}
}
