package document

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"ssmrun"
)

// ExecutionSeconds is the part of a command's ExpiresAfter that comes from the
// document, computed as AWS was seen to: for schema 2.x the sum over the steps,
// for 1.x the first property alone. A step counts the number in its
// timeoutSeconds, or the value given for the parameter there; anything else
// counts 3600: no timeoutSeconds, a parameter that was not given (its default
// does not count), or what is no number from 1 to 172800.
//
// That is not what ends a run: see Timeout.
func (d *Document) ExecutionSeconds(given map[string][]string) int {
	unset := int(ssmrun.DefaultExecutionTimeout / time.Second)
	steps := d.Steps
	if d.plugins != nil {
		if len(steps) == 0 {
			return unset
		}
		steps = steps[:1]
	}
	sum := 0
	for _, s := range steps {
		n, ok := seconds(s.Inputs[timeoutInput])
		if written, isText := s.Inputs[timeoutInput].(string); isText {
			if m := reference.FindStringSubmatchIndex(written); m != nil && m[0] == 0 && m[1] == len(written) {
				if values := given[written[m[2]:m[3]]]; len(values) > 0 {
					n, ok = seconds(values[0])
				}
			}
		}
		if !ok {
			n = unset
		}
		sum += n
	}
	return sum
}

// timeoutInput is the input that bounds a step.
const timeoutInput = "timeoutSeconds"

// StepTimeout is how long an agent lets a step run, from its inputs as Resolve
// gives them: ssmrun.DefaultExecutionTimeout where timeoutSeconds is missing,
// no number, or outside of what agents accept (5 s to 48 h).
func StepTimeout(inputs map[string]any) time.Duration {
	n, ok := seconds(inputs[timeoutInput])
	if !ok {
		return ssmrun.DefaultExecutionTimeout
	}
	return ssmrun.Exec(time.Duration(n) * time.Second)
}

// Timeout is how long agents let the whole document run: the sum of its steps'
// StepTimeout, with the defaults of what is not given. Errors are as of
// Step.Resolve.
func (d *Document) Timeout(given map[string][]string) (time.Duration, error) {
	var sum time.Duration
	for _, s := range d.Steps {
		r := resolver{doc: d, given: given, left: maxResolved}
		v, err := r.value(s.Inputs[timeoutInput])
		if err != nil {
			return 0, err
		}
		sum += StepTimeout(map[string]any{timeoutInput: v})
	}
	return sum, nil
}

// seconds reads a usable number of seconds.
func seconds(v any) (int, bool) {
	var s string
	switch v := v.(type) {
	case string:
		s = strings.TrimSpace(v)
	case json.Number:
		s = v.String()
	default:
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > int(ssmrun.MaxExecutionTimeout/time.Second) {
		return 0, false
	}
	return n, true
}
