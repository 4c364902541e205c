package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ssmrun"
	"ssmrun/internal/document"
)

// documentPatience is how long a document that is being created or updated is
// waited for: seconds on AWS.
const documentPatience = time.Minute

// documentFacts is what was learnt of a document; parts are missing where the
// caller may not ask.
type documentFacts struct {
	platforms []string           // where it runs; nil where that is not known
	content   *document.Document // nil where that is not known
}

// lookAtDocument asks for the document once. creating tells that it is not
// ready yet, and that asking again is worth it.
func (r *Runner) lookAtDocument(ctx context.Context, req Request) (facts documentFacts, problems []Problem, creating bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var (
		both                 sync.WaitGroup
		described            *ssm.DescribeDocumentOutput
		got                  *ssm.GetDocumentOutput
		describeErr, readErr error
	)
	both.Go(func() {
		described, describeErr = r.cfg.SSM.DescribeDocument(ctx, &ssm.DescribeDocumentInput{Name: &req.Document, DocumentVersion: version(req)})
	})
	both.Go(func() {
		got, readErr = r.cfg.SSM.GetDocument(ctx, &ssm.GetDocumentInput{Name: &req.Document, DocumentVersion: version(req), DocumentFormat: types.DocumentFormatJson})
	})
	both.Wait()
	// First, because the content of a document that is being created may not be
	// there yet.
	if describeErr == nil && described.Document != nil {
		d := described.Document
		if problem, wait := r.judgeDocument(req, d); problem != nil || wait {
			return facts, listOf(problem), wait, nil
		}
		for _, p := range d.PlatformTypes {
			facts.platforms = append(facts.platforms, string(p))
		}
	}
	for _, call := range []struct {
		operation string
		err       error
	}{{"DescribeDocument", describeErr}, {"GetDocument", readErr}} {
		switch {
		case call.err == nil:
		case hasCode(call.err, ssmrun.CodeInvalidDocument, ssmrun.CodeInvalidDocumentVersion):
			return facts, []Problem{r.noDocument(req, call.err)}, false, nil
		case faultOf(call.err).class == KindDenied:
			// SendCommand has the last word; this permission is optional.
			r.log.Info("the document is not checked in full before it is sent", "document", req.Document, "reason", faultOf(call.err).String())
		default:
			return facts, nil, false, r.callError(call.operation, call.err)
		}
	}
	if readErr == nil {
		if got.DocumentType != "" && got.DocumentType != types.DocumentTypeCommand {
			return facts, []Problem{notCommand(req.Document, got.DocumentType)}, false, nil
		}
		content, perr := document.ParseDelivered([]byte(aws.ToString(got.Content)))
		if perr != nil {
			// The service took this document; what it means is for the agent.
			r.log.Info("the document's content is not understood; its parameters are not checked before it is sent", "document", req.Document, "reason", perr.Error())
			return facts, nil, false, nil
		}
		facts.content = content
	}
	return facts, nil, false, nil
}

// judgeDocument says what is wrong with a document that is there, or that it
// is not ready yet.
func (r *Runner) judgeDocument(req Request, d *types.DocumentDescription) (problem *Problem, wait bool) {
	if d.DocumentType != "" && d.DocumentType != types.DocumentTypeCommand {
		p := notCommand(req.Document, d.DocumentType)
		return &p, false
	}
	switch d.Status {
	case types.DocumentStatusCreating, types.DocumentStatusUpdating:
		return nil, true
	case types.DocumentStatusDeleting:
		return &Problem{FieldDocument, req.Document, fmt.Sprintf("document %q is being deleted", req.Document), "Name another, or create it again"}, false
	case types.DocumentStatusFailed:
		why := ""
		if s := aws.ToString(d.StatusInformation); s != "" {
			why = ": " + s
		}
		return &Problem{FieldDocument, req.Document, fmt.Sprintf("document %q could not be created%s", req.Document, why), "Correct its content and create it again"}, false
	}
	return nil, false
}

func notCommand(name string, t types.DocumentType) Problem {
	advice := "Run Command takes Command documents only"
	if t == types.DocumentTypeAutomation {
		advice += "; start this one with Systems Manager Automation"
	}
	return Problem{FieldDocument, name, fmt.Sprintf("document %q is of type %s", name, t), advice}
}

func (r *Runner) noDocument(req Request, err error) Problem {
	if hasCode(err, ssmrun.CodeInvalidDocumentVersion) {
		return Problem{
			FieldDocumentVersion, req.DocumentVersion,
			fmt.Sprintf("document %q has no version %s", req.Document, req.DocumentVersion),
			"List its versions with: aws ssm list-document-versions --name " + req.Document,
		}
	}
	return Problem{
		FieldDocument, req.Document,
		fmt.Sprintf("document %q does not exist in %s", req.Document, r.region()),
		"Check the name, which is case-sensitive, and that it is in this account and region or shared with it",
	}
}

// awaitDocument looks at the document until it is ready.
func (x *run) awaitDocument(ctx context.Context) ([]Problem, error) {
	for start := time.Now(); ; {
		facts, problems, creating, err := x.lookAtDocument(ctx, x.req)
		if err != nil || len(problems) > 0 {
			return problems, err
		}
		if !creating {
			x.document = facts
			return x.convert(), nil
		}
		if time.Since(start) > documentPatience {
			return []Problem{{
				FieldDocument, x.req.Document,
				fmt.Sprintf("document %q is still being created after %s", x.req.Document, short(documentPatience)), "Try again later",
			}}, nil
		}
		if err := sleep(ctx, 2*time.Second); err != nil {
			return nil, err
		}
	}
}

// convert turns the parameters into what SendCommand takes, by the document's
// types where they are known.
func (x *run) convert() []Problem {
	values, problems := convertParameters(x.document.content, x.req.Parameters)
	x.values = values
	return problems
}

func convertParameters(d *document.Document, in map[string]any) (map[string][]string, []Problem) {
	values, err := document.Convert(d, in)
	if err == nil && d != nil {
		err = d.CheckParameters(values)
	}
	return values, parameterProblems(err)
}

// parameterProblems puts what the document says of parameters into problems.
func parameterProblems(err error) []Problem {
	if err == nil {
		return nil
	}
	wrong := document.Problems(err)
	if len(wrong) == 0 {
		return []Problem{{FieldParameters, "", ssmrun.ErrorMessage(err), ""}}
	}
	problems := make([]Problem, len(wrong))
	for i, p := range wrong {
		problems[i] = Problem{FieldParameters, p.Parameter, p.Error(), ""}
	}
	return problems
}

// platformProblem says that the document is not for the instance's platform.
func (f documentFacts) platformProblem(name, id, platform string) *Problem {
	if platform == "" || len(f.platforms) == 0 || slices.Contains(f.platforms, platform) {
		return nil
	}
	return &Problem{
		FieldInstanceIDs, id,
		fmt.Sprintf("%s runs %s, and document %q is for %s", id, platform, name, strings.Join(f.platforms, " and ")),
		"Name a document for its platform, or leave the instance out",
	}
}

func version(req Request) *string {
	if req.DocumentVersion == "" {
		return nil
	}
	return &req.DocumentVersion
}

func listOf(p *Problem) []Problem {
	if p == nil {
		return nil
	}
	return []Problem{*p}
}
