package runner

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ssmrun"
	"ssmrun/internal/document"
)

// MaxComment is how many characters Request.Comment may have: what
// SendCommand's 100 leave beside the run's token and a blank.
const MaxComment = ssmrun.MaxCommentLength - tokenLength - 1

// maxPrefixLength bounds the key prefix of outputs, in characters.
const maxPrefixLength = 500

var (
	documentName    = regexp.MustCompile(`^[a-zA-Z0-9_\-.:/]{3,128}$`)
	documentVersion = regexp.MustCompile(`^([$]LATEST|[$]DEFAULT|[1-9][0-9]*)$`)
	regionName      = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	concurrency     = regexp.MustCompile(`^([1-9][0-9]{0,6}|[1-9][0-9]?%|100%)$`)
	errorBudget     = regexp.MustCompile(`^(0|[1-9][0-9]{0,6}|[0-9]%|[1-9][0-9]%|100%)$`)
)

// Check says what the request alone proves wrong, without asking anyone. Fields
// in skip are left out: at plan time, those whose values are not known yet. A
// list of ids of which only some are known is checked for those.
func Check(req Request, skip ...Field) []Problem {
	var problems []Problem
	add := func(f Field, subject, summary, advice string) {
		if !slices.Contains(skip, f) {
			problems = append(problems, Problem{f, subject, summary, advice})
		}
	}
	checkIDs(req.InstanceIDs, add)

	switch {
	case req.Document == "":
		add(FieldDocument, "", "no document is named", "Name a Command document, such as AWS-RunShellScript")
	case !documentName.MatchString(req.Document):
		add(FieldDocument, req.Document, fmt.Sprintf("%s cannot be the name of a document", quote(req.Document)),
			"Names have 3 to 128 letters, digits, dots, hyphens and underscores; an ARN is taken too")
	}
	if req.DocumentVersion != "" && !documentVersion.MatchString(req.DocumentVersion) {
		add(FieldDocumentVersion, req.DocumentVersion, fmt.Sprintf("%s is no document version", quote(req.DocumentVersion)),
			"Give a number, $DEFAULT or $LATEST")
	}
	values, err := document.Convert(nil, req.Parameters)
	for _, p := range parameterProblems(err) {
		add(p.Field, p.Subject, p.Summary, p.Advice)
	}
	if n := parametersSize(values); n > ssmrun.MaxParametersBytes {
		add(FieldParameters, "", fmt.Sprintf("the parameters have %d bytes, Run Command takes %d", n, ssmrun.MaxParametersBytes),
			"Put the script where the instances can fetch it, such as S3, and send a command that fetches it")
	}
	checkOutput(req, add)
	checkTimes(req, add)

	if n := utf8.RuneCountInString(req.Comment); n > MaxComment {
		add(FieldComment, "", fmt.Sprintf("the comment has %d characters", n),
			fmt.Sprintf("At most %d: Run Command takes %d, and the token by which a lost answer is found needs the rest", MaxComment, ssmrun.MaxCommentLength))
	}
	checkRate(req, add)
	return problems
}

type adder func(f Field, subject, summary, advice string)

func checkIDs(ids []string, add adder) {
	if len(ids) == 0 {
		add(FieldInstanceIDs, "", "no instance ids are given", "Name at least one instance that Systems Manager manages")
	}
	count := map[string]int{}
	for _, id := range ids {
		count[id]++
		switch {
		case count[id] == 1 && !ssmrun.ValidInstanceID(id):
			add(FieldInstanceIDs, id, fmt.Sprintf("%s is no instance id", quote(id)),
				"Ids look like i-0123456789abcdef0 or mi-0123456789abcdef0")
		case count[id] == 2:
			add(FieldInstanceIDs, id, fmt.Sprintf("%s is named more than once", quote(id)), "Name each instance once")
		}
	}
}

func checkOutput(req Request, add adder) {
	if req.OutputBucket == "" {
		if req.OutputPrefix != "" {
			add(FieldOutputPrefix, "", "a prefix without a bucket has no effect", "Name the bucket too")
		}
		if req.OutputRegion != "" {
			add(FieldOutputRegion, "", "a region of the output without a bucket has no effect", "Name the bucket too")
		}
		return
	}
	if err := ssmrun.CheckBucketName(req.OutputBucket); err != nil {
		add(FieldOutputBucket, req.OutputBucket, ssmrun.ErrorMessage(err), "Name an existing general purpose bucket, without s3:// or a path")
	}
	if n := utf8.RuneCountInString(req.OutputPrefix); n > maxPrefixLength {
		add(FieldOutputPrefix, "", fmt.Sprintf("the prefix has %d characters", n), fmt.Sprintf("At most %d", maxPrefixLength))
	}
	if req.OutputRegion != "" && !regionName.MatchString(req.OutputRegion) {
		add(FieldOutputRegion, req.OutputRegion, fmt.Sprintf("%s is no region", quote(req.OutputRegion)), "Regions look like eu-west-1")
	}
}

func checkTimes(req Request, add adder) {
	switch {
	case req.Timeout < 0:
		add(FieldTimeout, "", fmt.Sprintf("%s is negative", req.Timeout), "Give the time to wait for the end, such as 30m")
	case req.Timeout > ssmrun.MaxTimeoutSeconds*time.Second:
		add(FieldTimeout, "", fmt.Sprintf("%s is more than Run Command's 30 days", req.Timeout), "Give a shorter one")
	}
	if req.WaitForInstances < 0 {
		add(FieldWaitForInstances, "", fmt.Sprintf("%s is negative", req.WaitForInstances), "Give 0 to refuse instances that are not ready")
	}
}

func checkRate(req Request, add adder) {
	several := len(req.InstanceIDs) > ssmrun.MaxInstanceIDs
	for _, f := range []struct {
		field   Field
		value   string
		pattern *regexp.Regexp
	}{{FieldMaxConcurrency, req.MaxConcurrency, concurrency}, {FieldMaxErrors, req.MaxErrors, errorBudget}} {
		switch {
		case f.value == "":
		case !f.pattern.MatchString(f.value):
			add(f.field, f.value, fmt.Sprintf("%s is neither a number nor a percentage", quote(f.value)), "Give one such as 10 or 10%")
		case several && !strings.HasSuffix(f.value, "%"):
			add(f.field, f.value, fmt.Sprintf("a number, %s, with %d instances", f.value, len(req.InstanceIDs)),
				fmt.Sprintf("More than %d instances are sent as several commands, and a number would count in each apart: give a percentage", ssmrun.MaxInstanceIDs))
		}
	}
}

// quote shows what a user typed, in bounds.
func quote(s string) string {
	if utf8.RuneCountInString(s) > 60 {
		s = ssmrun.Head(s, 59) + "…"
	}
	return fmt.Sprintf("%q", s)
}
