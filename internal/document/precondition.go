package document

import (
	"fmt"
	"sort"
	"strings"
)

// Met tells whether the step is to run on an instance of platformType (Linux,
// Windows or MacOS, in any case). A step that is not is Skipped.
//
// StringEquals is the only operator: two operands, in any order, one of which
// is platformType or holds {{ name }}. Platforms are compared without regard
// to case, anything else exactly. All operators must hold.
//
// An error says that a precondition is not one that agents know: the step
// fails. As with the genuine agent, a step with an unmet one beside it is
// skipped first.
func (s Step) Met(platformType string, given map[string][]string) (bool, error) {
	operators := make([]string, 0, len(s.Precondition))
	for operator := range s.Precondition {
		operators = append(operators, operator)
	}
	sort.Strings(operators)
	var unknown []string
	for _, operator := range operators {
		operands := s.Precondition[operator]
		if operator != "StringEquals" || !compares(operands) {
			unknown = append(unknown, fmt.Sprintf("%s %q", clip(operator), operands))
			continue
		}
		left, err := s.operand(operands[0], given)
		if err != nil {
			return false, err
		}
		right, err := s.operand(operands[1], given)
		if err != nil {
			return false, err
		}
		var met bool
		switch {
		case operands[0] == platformVariable:
			met = strings.EqualFold(platformType, right)
		case operands[1] == platformVariable:
			met = strings.EqualFold(platformType, left)
		default:
			met = left == right
		}
		if !met {
			return false, nil
		}
	}
	if len(unknown) > 0 {
		return false, invalid("step %q has a precondition that is not supported: %s; use StringEquals with platformType or a parameter", clip(s.Name), clip(strings.Join(unknown, ", ")))
	}
	return true, nil
}

// platformVariable is the operand that stands for the instance's platform.
const platformVariable = "platformType"

// compares tells whether a comparison depends on anything: two constants,
// or platformType with itself, are taken for a mistake.
func compares(operands []string) bool {
	if len(operands) != 2 || hasStored(operands[0]) || hasStored(operands[1]) {
		return false
	}
	left, right := operands[0] == platformVariable, operands[1] == platformVariable
	if left || right {
		return left != right
	}
	return reference.MatchString(operands[0]) || reference.MatchString(operands[1])
}

func (s Step) operand(operand string, given map[string][]string) (string, error) {
	r := resolver{doc: s.doc, given: given, left: maxResolved}
	v, err := r.text(operand)
	if err != nil {
		return "", err
	}
	text, ok := v.(string)
	if !ok {
		if text, err = (actual{value: v}).text(); err != nil {
			return "", err
		}
	}
	if hasStored(text) {
		return "", invalid("step %q has a precondition that compares a stored parameter: those are fetched for steps that run, and not to decide which do; compare a value that is given", clip(s.Name))
	}
	return text, nil
}
