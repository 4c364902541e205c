package runner

import (
	"errors"
	"fmt"
	"strings"
)

// Explain puts an error of this package into words: a title of one line without
// a full stop, and the details below it, ready for a terminal or a Terraform
// diagnostic. For a run that failed the details are the failure report. Other
// errors are their own title.
func Explain(err error, opts ReportOptions) (title, detail string) {
	opts = opts.withDefaults()
	var (
		invalid   *ValidationError
		call      *CallError
		send      *SendError
		ambiguous *AmbiguousSendError
		failed    *RunError
		timeout   *TimeoutError
		cancelled *CancelledError
		lost      *LostError
	)
	plain := func(paragraphs ...string) string {
		return fit(opts, func(int) []string { return paragraphs })
	}
	switch {
	case errors.As(err, &invalid):
		return "Nothing was sent: " + invalid.title(), plain(invalid.paragraphs()...)
	case errors.As(err, &call):
		return "Nothing was sent: " + titles[call.Class], plain(sentence(call.Error()))
	case errors.As(err, &send):
		return "Nothing was sent: " + titles[send.Class], plain(sentence(send.Error()))
	case errors.As(err, &ambiguous):
		return "The command may have been accepted, but its answer was lost", plain(
			fmt.Sprintf("%s was sent to %s, and the answer was lost on its way: %s.", ambiguous.Document, instances(ambiguous.Instances), ambiguous.Cause),
			"No command with this run's token has shown up since. That is no proof that there is none, so it was not sent again: it could run twice.",
			"Before you send it again, look for it:\n    "+ambiguous.Check)
	case errors.As(err, &failed):
		return failed.Result.failedTitle(), FailureReport(failed.Result, opts)
	case errors.As(err, &timeout):
		return timeout.title(), fit(opts, func(lines int) []string { return timeout.paragraphs(opts, lines) })
	case errors.As(err, &cancelled):
		return cancelled.title(), fit(opts, func(lines int) []string { return cancelled.paragraphs(opts, lines) })
	case errors.As(err, &lost):
		return lost.title(), fit(opts, func(lines int) []string {
			parts := []string{fmt.Sprintf("%s: %v.", capital(commands(lost.Result)), lost.Err)}
			if !lost.Over {
				parts = append(parts, "It runs on. To stop it:"+commandLines(lost.Result, "cancel", open))
			}
			groups := grouped(lost.Result, opts.Lines)
			return append(append(parts, failures(groups, opts.Instances, lines)...), readMore(lost.Result, groups)...)
		})
	}
	return err.Error(), plain()
}

var titles = map[Kind]string{
	KindInvalid:     "Systems Manager refuses the request",
	KindUnreachable: "Systems Manager does not answer",
	KindCredentials: "the credentials are missing or not accepted",
	KindDenied:      "access denied",
	KindNotSent:     "Systems Manager refuses the command",
}

// title names the field that is wrong, or counts the problems.
func (e *ValidationError) title() string {
	fields := map[Field]bool{}
	for _, p := range e.Problems {
		fields[p.Field] = true
	}
	if len(fields) == 1 {
		return "check " + string(e.Problems[0].Field)
	}
	return fmt.Sprintf("%d things to correct", len(e.Problems))
}

// paragraphs has one for every piece of advice: the problems that it is for,
// then the advice, once.
func (e *ValidationError) paragraphs() []string {
	type key struct {
		field  Field
		advice string
	}
	var order []key
	summaries := map[key][]string{}
	for _, p := range e.Problems {
		k := key{p.Field, p.Advice}
		if summaries[k] == nil {
			order = append(order, k)
		}
		summaries[k] = append(summaries[k], sentence(p.Summary))
	}
	parts := make([]string, len(order))
	for i, k := range order {
		s := string(k.field) + ": " + strings.Join(summaries[k], "\n"+string(k.field)+": ")
		if k.advice != "" {
			s += "\n" + sentence(k.advice)
		}
		parts[i] = s
	}
	return parts
}

func (r *Result) failedTitle() string {
	failed := r.Failed()
	if len(failed) == len(r.Instances) && len(failed) > 1 {
		return fmt.Sprintf("%s failed on all %d instances", r.Document, len(failed))
	}
	if len(r.Instances) == 1 {
		return fmt.Sprintf("%s failed on %s", r.Document, r.Instances[0].ID)
	}
	return fmt.Sprintf("%s failed on %d of %s", r.Document, len(failed), instances(len(r.Instances)))
}

func (e *TimeoutError) title() string {
	return fmt.Sprintf("%s was not over on %d of %s after %s", e.Result.Document,
		len(e.Running)+len(e.Stopped), instances(len(e.Result.Instances)), short(e.Timeout))
}

func (e *TimeoutError) paragraphs(opts ReportOptions, lines int) []string {
	var parts []string
	if n := len(e.Running); n > 0 {
		parts = append(parts, fmt.Sprintf("Still running on %s, and left alone: %s\nTo stop it:%s",
			instances(n), strings.Join(e.Running, ", "), commandLines(e.Result, "cancel", open)))
	}
	if n := len(e.Stopped); n > 0 {
		parts = append(parts, fmt.Sprintf("Had not begun on %s, and was cancelled there: %s", instances(n), strings.Join(e.Stopped, ", ")))
	}
	if e.StopErr != nil {
		parts = append(parts, fmt.Sprintf("Not everything could be done after the timeout: %v. What has not begun by now will not begin: the command's own delivery timeout has passed too.", e.StopErr))
	}
	stopped := map[string]bool{}
	for _, id := range e.Stopped {
		stopped[id] = true
	}
	ended := *e.Result
	ended.Instances = nil
	for _, i := range e.Result.Instances {
		if !stopped[i.ID] {
			ended.Instances = append(ended.Instances, i)
		}
	}
	groups := grouped(&ended, opts.Lines)
	parts = append(parts, failures(groups, opts.Instances, lines)...)
	parts = append(parts, warnings(e.Result)...)
	return append(parts, readMore(e.Result, groups)...)
}

func (e *CancelledError) title() string {
	switch {
	case e.Result == nil:
		return "Interrupted before anything was sent"
	case e.Late:
		return "Interrupted after the command had ended"
	case e.CancelErr != nil:
		return "Interrupted, but the command could not be cancelled"
	case len(e.Running) > 0:
		return fmt.Sprintf("Interrupted: the command was cancelled, and has not ended yet on %s", instances(len(e.Running)))
	}
	return "Interrupted: the command was cancelled"
}

func (e *CancelledError) paragraphs(opts ReportOptions, lines int) []string {
	if e.Result == nil {
		return nil
	}
	var parts []string
	if e.CancelErr != nil {
		parts = append(parts, fmt.Sprintf("%s. It may run on. To cancel it:%s", capital(e.CancelErr.Error()), commandLines(e.Result, "cancel", open)))
	}
	if len(e.Running) > 0 && e.CancelErr == nil {
		parts = append(parts, "Not ended yet: "+strings.Join(e.Running, ", "))
	}
	groups := grouped(e.Result, opts.Lines)
	parts = append(parts, failures(groups, opts.Instances, lines)...)
	return append(parts, readMore(e.Result, groups)...)
}

func (e *LostError) title() string {
	if e.Over {
		return "The command has ended, but its results cannot be read"
	}
	return "The command was sent, but it cannot be watched any more"
}

// open chooses the commands that are not over.
func open(c Command) bool { return !c.State.Terminal() }

// sentence ends a text with a full stop, unless it ends with a mark, or with a
// command line that is to be pasted.
func sentence(s string) string {
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?:") || strings.Contains(s, ": aws ") {
		return s
	}
	return s + "."
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
